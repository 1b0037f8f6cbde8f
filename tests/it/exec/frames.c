/*
 * Compiled with -fexceptions: what a frame has to clean up is done while the
 * stack is unwound, and pthread_cleanup_push is a frame's own.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

extern bool wrong;

static void say(void *what)
{
    printf("%s ", (char *)what);
}

static void say_it(char **what)
{
    say(*what);
}

static __attribute__((noinline)) void leave(void)
{
    __attribute__((cleanup(say_it))) char *inner = "inner";

    if (!wrong) {
        pthread_exit((void *)7);
    }
    inner = "not";
}

void *frames(void *opaque)
{
    pthread_cleanup_push(say, "outer");
    leave();
    pthread_cleanup_pop(0);
    return (void *)8;
}
