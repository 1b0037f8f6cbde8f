/*
 * Crashes that spoil the stack, or the way to where it was.
 */
#include "programs.h"
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define NOWHERE ((void *)0xe)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int count;

static void well(void)
{
    count++;
}

/* Calls what is no function. */
static __attribute__((noinline)) void call(void (*function)(void))
{
    function();
    count++;
}

static void calls(void)
{
    call(wrong ? NOWHERE : well);
    printf("%d", count);
}

/* Changes where its caller, or that one's caller, will return to. */
static __attribute__((noinline)) void spoil(void **frame)
{
    if (wrong) {
        frame[1] = NOWHERE;
    }
}

static __attribute__((noinline)) void spoils(void)
{
    spoil(__builtin_frame_address(0));
    count++;
}

static void returns(void)
{
    spoils();
    printf("%d", count);
}

/* As above, and crashes before it returns: by itself, or in libc. */
static __attribute__((noinline)) int read_null(int *null)
{
    return *null;
}

static __attribute__((noinline)) void spoils_and_reads(void)
{
    spoil(__builtin_frame_address(0));
    count += read_null(wrong ? NULL : &count);
    count++;
}

static void reads(void)
{
    spoils_and_reads();
    printf("%d", count);
}

static __attribute__((noinline)) void locks(void)
{
    pthread_mutex_lock(&lock);
    assert(!wrong);
    pthread_mutex_unlock(&lock);
}

static __attribute__((noinline)) void spoils_and_locks(void)
{
    spoil(__builtin_frame_address(0));
    locks();
    count++;
}

static void asserts(void)
{
    spoils_and_locks();
    printf("%d", count);
}

/* Never comes back. */
static __attribute__((noinline)) int deeper(int depth)
{
    volatile char room[256];

    room[0] = depth;
    return wrong || depth ? deeper(depth - 1) + room[0] : 0;
}

static void recurses(void)
{
    printf("%d", deeper(10));
}

static void *recurse(void *opaque)
{
    recurses();
    return NULL;
}

static void thread_recurses(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, recurse, NULL);
    pthread_join(thread, NULL);
}

static const struct program programs[] = {
    { "calls", calls }, { "returns", returns }, { "reads", reads },
    { "asserts", asserts }, { "recurses", recurses },
    { "thread_recurses", thread_recurses },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return run_chosen(programs, argv);
}
