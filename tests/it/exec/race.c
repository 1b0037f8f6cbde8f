/*
 * Small programs in QEMU's idiom, one for each thing that orders two accesses to
 * memory, each right and wrong.
 */
#include "programs.h"
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* util/event.c */
void event_set(void);
bool event_is_set(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int count;
static bool ready;
static int flag;
static int ends[2];
static int *heap;
static volatile int seen;

static void with(void *(*body)(void *), void (*rest)(void))
{
    pthread_t other;

    pthread_create(&other, NULL, body, NULL);
    rest();
    pthread_join(other, NULL);
}

/* A counter. Where nothing else is done the compiler adds in one instruction. */
static void *add(void *opaque)
{
    if (!wrong) {
        pthread_mutex_lock(&lock);
    }
    count++;
    if (!wrong) {
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void add_here(void)
{
    add(NULL);
}

static void mutex(void)
{
    with(add, add_here);
    printf("%d", count);
}

/* A message behind a flag. */
static void *send_flag(void *opaque)
{
    count = 7;
    if (wrong) {
        __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
    } else {
        __atomic_store_n(&flag, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void receive_flag(void)
{
    if (__atomic_load_n(&flag, __ATOMIC_ACQUIRE)) {
        seen = count;
    }
}

static void release(void)
{
    with(send_flag, receive_flag);
}

/* The same with fences. */
static void *send_fence(void *opaque)
{
    count = 7;
    if (!wrong) {
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    __atomic_store_n(&flag, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void receive_fence(void)
{
    if (__atomic_load_n(&flag, __ATOMIC_RELAXED)) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        seen = count;
    }
}

static void fence(void)
{
    with(send_fence, receive_fence);
}

/* A condition: the state is set under the mutex, or before it. */
static void *signals(void *opaque)
{
    if (wrong) {
        ready = true;
    }
    pthread_mutex_lock(&lock);
    ready = true;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void waits(void)
{
    pthread_mutex_lock(&lock);
    while (!ready) {
        pthread_cond_wait(&cond, &lock);
    }
    pthread_mutex_unlock(&lock);
}

static void condition(void)
{
    with(signals, waits);
}

/* What is written before a thread begins, and what is read before it is joined. */
static void *change(void *opaque)
{
    count++;
    return NULL;
}

static void look_early(void)
{
    if (wrong) {
        seen = count;
    }
}

static void join(void)
{
    count = 3;
    with(change, look_early);
    printf("%d", count);
}

/* A byte through a socket, or an event counter. */
static void *writes(void *opaque)
{
    uint64_t one = 1;

    count = 7;
    if (write(ends[1], &one, sizeof(one)) != sizeof(one)) {
        abort();
    }
    if (wrong) {
        count = 8;
    }
    return NULL;
}

static void reads(void)
{
    uint64_t one;

    if (read(ends[0], &one, sizeof(one)) != sizeof(one)) {
        abort();
    }
    seen = count;
}

static void socket_(void)
{
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    with(writes, reads);
}

static void event(void)
{
    ends[0] = ends[1] = eventfd(0, 0);
    with(writes, reads);
}

/* A block that is freed by who has joined its user, or by who has not. */
static void *use(void *opaque)
{
    *heap = 1;
    return NULL;
}

static void free_early(void)
{
    if (wrong) {
        free(heap);
    }
}

static void freed(void)
{
    heap = malloc(sizeof(*heap));
    with(use, free_early);
    if (!wrong) {
        free(heap);
    }
}

/* What code of elsewhere orders, whose own plain accesses are not looked at. */
static void *set(void *opaque)
{
    if (!wrong) {
        count = 7;
    }
    event_set();
    if (wrong) {
        count = 7;
    }
    return NULL;
}

static void is_set(void)
{
    if (event_is_set()) {
        seen = count;
    }
}

static void elsewhere(void)
{
    with(set, is_set);
}

/* A plain access to what others access atomically. */
static void *store(void *opaque)
{
    __atomic_store_n(&flag, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void load(void)
{
    seen = wrong ? flag : __atomic_load_n(&flag, __ATOMIC_RELAXED);
}

static void mixed(void)
{
    with(store, load);
}

static const struct program programs[] = {
    { "mutex", mutex }, { "release", release }, { "fence", fence },
    { "condition", condition }, { "join", join }, { "socket", socket_ },
    { "event", event }, { "freed", freed }, { "elsewhere", elsewhere },
    { "mixed", mixed },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return run_chosen(programs, argv);
}
