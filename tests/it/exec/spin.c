/*
 * Loops that ask for nothing: what each waits for comes, or does not.
 */
#include "programs.h"
#include <pthread.h>
#include <stdio.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int flag;
static int count;

static void *set(void *unused)
{
    flag = !wrong;
    return NULL;
}

static void wait_for_flag(void)
{
    while (!flag) {
        count++;
    }
}

/* Another thread ends it, if it is let. */
static void spins(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, set, NULL);
    wait_for_flag();
    pthread_join(thread, NULL);
    printf("%d", flag);
}

/* The same with a lock that the other thread wants first. */
static void *lock_and_set(void *unused)
{
    pthread_mutex_lock(&lock);
    flag = 1;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void spins_locked(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, lock_and_set, NULL);
    pthread_mutex_lock(&lock);
    if (!wrong) {
        pthread_mutex_unlock(&lock);
    }
    wait_for_flag();
    if (wrong) {
        pthread_mutex_unlock(&lock);
    }
    pthread_join(thread, NULL);
    printf("%d", flag);
}

/* Each of two ends the other's. */
static volatile int turns[2];

static void *answer(void *unused)
{
    while (!turns[0]) {
        count++;
    }
    turns[1] = !wrong;
    return NULL;
}

static void spins_in_turn(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, answer, NULL);
    turns[0] = 1;
    while (!turns[1]) {
        count++;
    }
    pthread_join(thread, NULL);
    printf("%d", turns[1]);
}

/* Time ends it: no time is enough for the wrong one. */
static void spins_for_time(void)
{
    time_t end = time(NULL) + (wrong ? 3600 : 10);

    while (time(NULL) < end) {
        count++;
    }
    printf("%d", 1);
}

/* A sleep is no rest while another spins: it is woken first. */
static void *sleep_and_set(void *unused)
{
    usleep(wrong ? 100000000 : 500000);
    flag = 1;
    return NULL;
}

static void spins_for_a_sleeper(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, sleep_and_set, NULL);
    wait_for_flag();
    pthread_join(thread, NULL);
    printf("%d", flag);
}

/* The same with an operation in each turn. */
static void *lock_and_tell(void *unused)
{
    pthread_mutex_lock(&lock);
    count = !wrong;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void asks(void)
{
    pthread_t thread;
    int told = 0;

    pthread_create(&thread, NULL, lock_and_tell, NULL);
    while (!told) {
        pthread_mutex_lock(&lock);
        told = count;
        pthread_mutex_unlock(&lock);
    }
    pthread_join(thread, NULL);
    printf("%d", told);
}

static void asks_for_time(void)
{
    time_t end = time(NULL) + (wrong ? 3600 : 10);

    while (time(NULL) < end) {
        pthread_mutex_lock(&lock);
        count++;
        pthread_mutex_unlock(&lock);
    }
    printf("%d", 1);
}

/* Much to do, and an end to it. */
static void asks_often(void)
{
    int times = wrong ? 20000 : 4000;

    while (count < times) {
        pthread_mutex_lock(&lock);
        count++;
        pthread_mutex_unlock(&lock);
    }
    printf("%d", count == times);
}

static const struct program programs[] = {
    { "spins", spins },
    { "spins_locked", spins_locked },
    { "spins_in_turn", spins_in_turn },
    { "spins_for_time", spins_for_time },
    { "spins_for_a_sleeper", spins_for_a_sleeper },
    { "asks", asks },
    { "asks_for_time", asks_for_time },
    { "asks_often", asks_often },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return run_chosen(programs, argv);
}
