/*
 * How threads and blocks of memory end, right and wrong.
 */
#include "programs.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int count;

/* In frames.c, which is compiled with -fexceptions. */
void *frames(void *opaque);

/* Many threads, one after the other, or all at once. */
static void *touch_stack(void *opaque)
{
    volatile char deep[100 * 1024];

    for (unsigned i = 0; i < sizeof(deep); i += 4096) {
        deep[i] = i;
    }
    count += deep[4096] == 0;
    if (wrong) {
        pthread_mutex_lock(&lock);
        pthread_cond_wait(&cond, &lock);
    }
    return NULL;
}

static void many(void)
{
    for (int i = 0; i < 2000; i++) {
        pthread_t thread;
        int result = pthread_create(&thread, NULL, touch_stack, NULL);

        if (result) {
            printf("%s", result == EAGAIN && i > 400 ? "EAGAIN" : "?");
            exit(0);
        }
        if (!wrong) {
            pthread_join(thread, NULL);
        }
    }
    printf("%d", count);
}

/* All that is to be done when a thread ends. */
static pthread_key_t key;

int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *dso);

static void say(void *what)
{
    pthread_mutex_lock(&lock);
    printf("%s ", (char *)what);
    pthread_mutex_unlock(&lock);
}

static __attribute__((noinline)) void leave(void)
{
    pthread_exit((void *)7);
}

static __attribute__((noinline)) void nested(void)
{
    pthread_cleanup_push(say, "inner");
    if (!wrong) {
        leave();
    }
    pthread_cleanup_pop(0);
}

static void *handlers(void *opaque)
{
    pthread_setspecific(key, "key");
    __cxa_thread_atexit_impl(say, "first", NULL);
    __cxa_thread_atexit_impl(say, "second", NULL);
    pthread_cleanup_push(say, "outer");
    nested();
    pthread_cleanup_pop(0);
    return (void *)8;
}

static void ends(void *(*body)(void *))
{
    pthread_t thread;
    void *value;

    pthread_key_create(&key, say);
    pthread_create(&thread, NULL, body, NULL);
    pthread_join(thread, &value);
    printf("%d", (int)(long)value);
}

static void cleanup(void)
{
    ends(handlers);
}

static void unwinds(void)
{
    ends(frames);
}

/* What handlers are for. */
static void unlock(void *mutex)
{
    pthread_mutex_unlock(mutex);
}

static void *with_lock(void *opaque)
{
    pthread_mutex_lock(&lock);
    if (wrong) {
        pthread_exit(NULL);
    }
    pthread_cleanup_push(unlock, &lock);
    pthread_exit(NULL);
    pthread_cleanup_pop(0);
    return NULL;
}

static void held(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, with_lock, NULL);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&lock);
    printf("done");
}

/* A block that is written to when it is free: nobody reads it. */
static __attribute__((noinline)) void free_it(void *block)
{
    free(block);
}

static __attribute__((noinline)) char *written(void)
{
    char *block = malloc(40);

    if (!wrong) {
        block[8] = 1;
    }
    free_it(block);
    if (wrong) {
        *(volatile char *)(block + 8) = 1;
    }
    return block;
}

static void stays(void)
{
    written();
}

static void reused(void)
{
    char *old = written(), *fresh = malloc(33);

    printf("%s", old == fresh ? "the same" : "another");
    free(fresh);
}

static __attribute__((noinline)) void *grow_it(void *block)
{
    return realloc(block, 4000);
}

static void grown(void)
{
    char *block = malloc(40), *fresh = grow_it(block);

    *(wrong ? (volatile char *)block : fresh) = 1;
}

/* A thread that nobody joins. */
static void *nothing(void *opaque)
{
    return NULL;
}

static void joined(void)
{
    pthread_attr_t detached;
    pthread_t one, two;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_create(&one, wrong ? NULL : &detached, nothing, NULL);
    pthread_create(&two, NULL, nothing, NULL);
    usleep(1000);                   /* time passes when nobody can run */
    pthread_join(two, NULL);
}

static const struct program programs[] = {
    { "many", many }, { "cleanup", cleanup }, { "unwinds", unwinds },
    { "held", held }, { "stays", stays }, { "reused", reused },
    { "grown", grown }, { "joined", joined },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return run_chosen(programs, argv);
}
