/*
 * Small programs that two processes run against each other, each right and wrong.
 */
#include "sides.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>

static int count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static char get(void)
{
    char c = '-';

    return read(fd, &c, 1) == 1 ? c : '-';
}

static void put(char c)
{
    if (write(fd, &c, 1) != 1) {
        printf("lost ");
    }
}

/* Each has variables, a heap and a stack of its own, at the same addresses. */
static void apart(void)
{
    char *own = malloc(16);

    own[0] = 'a' + side;
    count += 1 + side;
    put(own[0]);
    printf("%c %c %d", own[0], get(), count);
}

/* Who asks is answered; wrong: both wait for the other. */
static void answer(void)
{
    if (side == 0 || wrong) {
        if (!wrong) {
            put('q');
        }
        printf("%c", get());
    } else {
        printf("%c", get());
        put('a');
    }
}

static void *take(void *opaque)
{
    pthread_mutex_lock(&lock);
    count = 1;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&lock);
    return NULL;
}

/*
 * A mutex, a condition and a thread at the same addresses on both sides are not
 * the same ones. Wrong: side 1 has nobody who signals, and side 0's signal is not
 * for it.
 */
static void locks(void)
{
    pthread_t other;
    bool signals = side == 0 || !wrong;

    pthread_mutex_lock(&lock);
    if (signals) {
        pthread_create(&other, NULL, take, NULL);
    }
    while (!count) {
        pthread_cond_wait(&cond, &lock);
    }
    put('x');
    get();
    pthread_mutex_unlock(&lock);
    pthread_join(other, NULL);
    printf("done");
}

/* A byte is there or it is not: that is for the scheduler. Wrong: nobody waits. */
static void race(void)
{
    char c = '-';

    if (side == 0) {
        get();
        put('x');
    } else {
        put('r');
        sched_yield();
        printf("%c", recv(fd, &c, 1, wrong ? MSG_DONTWAIT : 0) == 1 ? c : '-');
    }
}

/* Side 1 ends, with what it has sent still to be read, and its lock held. */
static void end(void)
{
    pthread_mutex_lock(&lock);
    if (side == 1) {
        put('y');
        if (wrong) {
            exit(3);
        }
        put('z');
    } else {
        printf("%c", get());
        printf("%c", get());
    }
    pthread_mutex_unlock(&lock);
}

/* Side 1's process is gone, past all that is caught: no run is left to be judged. */
static void vanish(void)
{
    if (side == 1 && wrong) {
        syscall(SYS_exit_group, 7);
    }
    printf("%d", side);
}

/* Side 1 crashes: that ends it all, and is told. */
static void crash(void)
{
    if (side == 1 && wrong) {
        *(volatile int *)NULL = 1;
    }
    printf("%d", side);
}

static const struct program programs[] = {
    { "apart", apart }, { "answer", answer }, { "locks", locks },
    { "race", race }, { "end", end }, { "crash", crash },
    { "vanish", vanish },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return run_side(programs, argv);
}
