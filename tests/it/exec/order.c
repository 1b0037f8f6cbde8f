/*
 * Orders of locks, right and wrong.
 */
#include "programs.h"
#include <pthread.h>
#include <stdio.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t two = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t three = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool done;

static void both(pthread_mutex_t *first, pthread_mutex_t *then)
{
    pthread_mutex_lock(first);
    pthread_mutex_lock(then);
    pthread_mutex_unlock(then);
    pthread_mutex_unlock(first);
}

static void *one_two(void *opaque)
{
    both(&one, &two);
    return NULL;
}

static void *two_one(void *opaque)
{
    both(&two, &one);
    return NULL;
}

/* Two threads at once. */
static void with(void *(*first)(void *), void *(*second)(void *))
{
    pthread_t threads[2];

    pthread_create(&threads[0], NULL, first, NULL);
    pthread_create(&threads[1], NULL, second, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
}

static void inverted(void)
{
    with(one_two, wrong ? two_one : one_two);
}

/* One thread alone, both ways. */
static void *all(void *opaque)
{
    both(&one, &two);
    both(&two, &one);
    return NULL;
}

static void *nothing(void *opaque)
{
    return NULL;
}

static void alone(void)
{
    with(all, wrong ? one_two : nothing);
}

/* Under a third lock. */
static void *gated(void *opaque)
{
    pthread_mutex_lock(&gate);
    both(&two, &one);
    pthread_mutex_unlock(&gate);
    return NULL;
}

static void *gated_too(void *opaque)
{
    pthread_mutex_lock(&gate);
    both(&one, &two);
    pthread_mutex_unlock(&gate);
    return NULL;
}

static void a_gate(void)
{
    with(gated, wrong ? one_two : gated_too);
}

/* One after the other: the second begins once the first has been joined. */
static void joined(void)
{
    pthread_t first, second;

    pthread_create(&first, NULL, one_two, NULL);
    if (!wrong) {
        pthread_join(first, NULL);
    }
    pthread_create(&second, NULL, two_one, NULL);
    if (wrong) {
        pthread_join(first, NULL);
    }
    pthread_join(second, NULL);
}

/* The main thread, before and after it begins another. */
static void begun(void)
{
    pthread_t other;

    if (!wrong) {
        both(&two, &one);
    }
    pthread_create(&other, NULL, one_two, NULL);
    if (wrong) {
        both(&two, &one);
    }
    pthread_join(other, NULL);
}

/* Who only tries does not wait. */
static void *tries(void *opaque)
{
    pthread_mutex_lock(&two);
    if (wrong) {
        pthread_mutex_lock(&one);
        pthread_mutex_unlock(&one);
    } else if (!pthread_mutex_trylock(&one)) {
        pthread_mutex_unlock(&one);
    }
    pthread_mutex_unlock(&two);
    return NULL;
}

static void tried(void)
{
    with(one_two, tries);
}

/* A wait takes its mutex again, with what is held meanwhile. */
static void *waits(void *opaque)
{
    pthread_mutex_lock(&one);
    if (wrong) {
        pthread_mutex_lock(&two);
    }
    while (!done) {
        pthread_cond_wait(&cond, &one);
    }
    if (wrong) {
        pthread_mutex_unlock(&two);
    }
    pthread_mutex_unlock(&one);
    return NULL;
}

static void *signals(void *opaque)
{
    pthread_mutex_lock(&one);
    done = true;
    pthread_cond_signal(&cond);
    pthread_mutex_lock(&two);
    pthread_mutex_unlock(&two);
    pthread_mutex_unlock(&one);
    return NULL;
}

static void a_wait(void)
{
    with(waits, signals);
}

/* The same place, another mutex. */
static void *again(void *opaque)
{
    both(&one, &two);
    if (!wrong) {
        pthread_mutex_destroy(&one);
        pthread_mutex_init(&one, NULL);
    }
    return NULL;
}

static void *again_too(void *opaque)
{
    pthread_mutex_lock(&gate);
    while (!done) {
        pthread_cond_wait(&cond, &gate);
    }
    pthread_mutex_unlock(&gate);
    both(&two, &one);
    return NULL;
}

static void *then_signals(void *opaque)
{
    again(NULL);
    pthread_mutex_lock(&gate);
    done = true;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&gate);
    return NULL;
}

static void fresh(void)
{
    with(then_signals, again_too);
}

/* Three threads, three locks. */
static void *two_three(void *opaque)
{
    both(&two, &three);
    return NULL;
}

static void *three_one(void *opaque)
{
    both(&three, &one);
    return NULL;
}

static void *one_three(void *opaque)
{
    both(&one, &three);
    return NULL;
}

static void round_three(void)
{
    pthread_t third;

    pthread_create(&third, NULL, wrong ? three_one : one_three, NULL);
    with(one_two, two_three);
    pthread_join(third, NULL);
}

static const struct program programs[] = {
    { "inverted", inverted }, { "alone", alone }, { "gate", a_gate },
    { "joined", joined }, { "begun", begun }, { "tried", tried },
    { "wait", a_wait }, { "fresh", fresh }, { "three", round_three },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return run_chosen(programs, argv);
}
