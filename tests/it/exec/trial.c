/*
 * Small programs in QEMU's idiom, one for each thing that the kernel of exec
 * does, each right and wrong.
 */
#include "programs.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int count;
static bool ready;

static void both(void *(*body)(void *))
{
    pthread_t one, two;

    pthread_create(&one, NULL, body, (void *)1);
    pthread_create(&two, NULL, body, (void *)2);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
}

static void with(void *(*body)(void *), void (*rest)(void))
{
    pthread_t other;

    pthread_create(&other, NULL, body, NULL);
    rest();
    pthread_join(other, NULL);
}

/* A counter that is read, and written later. */
static void *add(void *opaque)
{
    int seen;

    if (!wrong) {
        pthread_mutex_lock(&lock);
    }
    seen = count;
    sched_yield();
    count = seen + 1;
    if (!wrong) {
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void mutex(void)
{
    both(add);
    printf("%d", count);
}

static void recursive(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t own;

    pthread_mutexattr_init(&attr);
    if (!wrong) {
        pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    }
    pthread_mutex_init(&own, &attr);
    pthread_mutex_lock(&own);
    pthread_mutex_lock(&own);
    pthread_mutex_unlock(&own);
    printf("%d", pthread_mutex_trylock(&own));
}

/* The unlock is one place only: a try can find the mutex taken. */
static void *try_it(void *opaque)
{
    if (wrong) {
        pthread_mutex_lock(&lock);
        count++;
        pthread_mutex_unlock(&lock);
    } else if (pthread_mutex_trylock(&lock) == EBUSY) {
        printf("busy ");
    } else {
        sched_yield();
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void trylock(void)
{
    both(try_it);
    printf("done");
}

/* Two locks, taken in the opposite order. */
static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;

static void *order(void *opaque)
{
    bool turned = wrong && opaque == (void *)2;

    pthread_mutex_lock(turned ? &other : &lock);
    pthread_mutex_lock(turned ? &lock : &other);
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&other);
    return NULL;
}

static void deadlock(void)
{
    both(order);
    printf("done");
}

/* The signal comes before the wait: it is lost to whoever does not look. */
static void *signal_it(void *opaque)
{
    pthread_mutex_lock(&lock);
    ready = true;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void wait_for_it(void)
{
    pthread_mutex_lock(&lock);
    if (wrong) {
        pthread_cond_wait(&cond, &lock);
    }
    while (!ready) {
        pthread_cond_wait(&cond, &lock);
    }
    pthread_mutex_unlock(&lock);
    printf("done");
}

static void lost(void)
{
    with(signal_it, wait_for_it);
}

/* Who does not look again takes a wake-up for nothing as the real one. */
static void wait_once(void)
{
    pthread_mutex_lock(&lock);
    if (wrong) {
        if (!ready) {
            pthread_cond_wait(&cond, &lock);
        }
    } else {
        while (!ready) {
            pthread_cond_wait(&cond, &lock);
        }
    }
    printf("%d", ready);
    pthread_mutex_unlock(&lock);
}

static void spurious(void)
{
    with(signal_it, wait_once);
}

/* QemuEvent. */
static unsigned event;

static void *set(void *opaque)
{
    if (wrong) {
        syscall(SYS_futex, &event, FUTEX_WAKE, 1, NULL, NULL, 0);
        sched_yield();
        event = 1;
    } else {
        event = 1;
        syscall(SYS_futex, &event, FUTEX_WAKE, 1, NULL, NULL, 0);
    }
    return NULL;
}

static void wait_event(void)
{
    while (event == 0) {
        syscall(SYS_futex, &event, FUTEX_WAIT, 0, NULL, NULL, 0);
    }
    printf("done");
}

static void futex(void)
{
    with(set, wait_event);
}

/* A pipe, read as poll says. */
static int ends[2];

static void *write_three(void *opaque)
{
    ssize_t done;

    if (write(ends[1], "a", 1) != 1) {
        printf("? ");
    }
    done = write(ends[1], "bc", 2);
    if (!wrong && done == 1) {
        done += write(ends[1], "c", 1);
    }
    close(ends[1]);
    return NULL;
}

static void read_them(void)
{
    struct pollfd poll_one = { .fd = ends[0], .events = POLLIN };
    char text[8] = "";
    int have = 0;

    do {
        int bytes;

        while (poll(&poll_one, 1, -1) < 0 && !wrong) {
            assert(errno == EINTR);
        }
        do {
            bytes = read(ends[0], text + have, 3 - have);
        } while (bytes < 0 && errno == EINTR && !wrong);
        if (bytes <= 0) {
            break;
        }
        have += bytes;
    } while (!wrong && have < 3);
    printf("%s", text);
}

static void pipes(void)
{
    if (pipe(ends)) {
        abort();
    }
    with(write_three, read_them);
}

/* A socket by name. */
static struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "trial" };

static void *serve(void *opaque)
{
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;

    bind(listener, (struct sockaddr *)&name, sizeof(name));
    listen(listener, 1);
    pthread_mutex_lock(&lock);
    ready = true;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&lock);
    if (!wrong) {
        fd = accept(listener, NULL, NULL);
        send(fd, "hello", 6, 0);
        close(fd);
    }
    return NULL;
}

static void ask(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    char text[8] = "?";

    if (!wrong) {
        wait_for_it();
    }
    if (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0) {
        printf("%s", errno == ECONNREFUSED ? "refused" : "?");
        return;
    }
    if (!wrong) {
        recv(fd, text, 6, 0);
        printf(" %s", text);
    }
}

static void sockets(void)
{
    with(serve, ask);
}

/* A thread that is not joined may not have run. */
static void *say(void *opaque)
{
    printf("said ");
    return (void *)7;
}

static void join(void)
{
    pthread_t thread;
    void *value = NULL;

    pthread_create(&thread, NULL, say, NULL);
    if (!wrong) {
        pthread_join(thread, &value);
    }
    printf("%d", (int)(long)value);
    exit(0);
}

/* A variable of each thread, and one of all. */
static __thread int own = 5;
static int shared = 5;

static void *bump(void *opaque)
{
    int *variable = wrong ? &shared : &own;

    *variable += 1;
    sched_yield();
    printf("%d ", *variable);
    return NULL;
}

static void local(void)
{
    both(bump);
    printf("%d", own);
}

/* What a thread keeps by key is destroyed with it. */
static pthread_key_t key;

static void destroy(void *kept)
{
    printf("destroyed %d ", *(int *)kept);
    free(kept);
}

static void *keep(void *opaque)
{
    int *kept = malloc(sizeof(*kept));

    *kept = 3;
    pthread_setspecific(key, wrong ? NULL : kept);
    return pthread_getspecific(key) == kept ? opaque : NULL;
}

static void keys(void)
{
    pthread_t thread;

    pthread_key_create(&key, destroy);
    pthread_create(&thread, NULL, keep, NULL);
    pthread_join(thread, NULL);
    printf("done");
}

/* The clock stands while somebody runs, and jumps to the time-out. */
static void virtual_time(void)
{
    struct timespec begin, end, until;
    int result;

    clock_gettime(CLOCK_REALTIME, &begin);
    until = begin;
    until.tv_sec += 3600;
    pthread_mutex_lock(&lock);
    result = pthread_cond_timedwait(&cond, &lock, &until);
    clock_gettime(CLOCK_REALTIME, &end);
    printf("%s after %ld s", result == ETIMEDOUT ? "timeout" : "?",
           (long)(end.tv_sec - begin.tv_sec));
}

/* A time-out that comes although the signal is on its way. */
static void wait_timed(void)
{
    struct timespec until;
    int result = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    pthread_mutex_lock(&lock);
    while (!ready && result == 0) {
        result = pthread_cond_timedwait(&cond, &lock, &until);
    }
    if (wrong) {
        assert(ready);
    }
    printf("done");
    pthread_mutex_unlock(&lock);
}

static void timeouts(void)
{
    with(signal_it, wait_timed);
}

/* malloc. */
static __attribute__((noinline)) void free_it(void *block)
{
    free(block);
}

static void double_free(void)
{
    void *block = malloc(40);

    free_it(block);
    if (wrong) {
        free_it(block);
    }
    printf("done");
}

struct node {
    struct node *next;
    int value;
};

static __attribute__((noinline)) int follow(struct node *node)
{
    return node->next->value;
}

static void use_after_free(void)
{
    struct node *node = malloc(sizeof(*node)), *next = calloc(1, sizeof(*next));

    node->next = next;
    if (wrong) {
        free_it(node);
    }
    printf("%d", follow(node));
}

/* Pages that somebody has to bring. */
static char *page;
static int uffd;

static void *bring(void *opaque)
{
    struct uffd_msg message;
    static char from[4096] __attribute__((aligned(4096))) = "brought in";
    struct uffdio_copy copy = { .src = (unsigned long)from, .len = 4096 };

    if (read(uffd, &message, sizeof(message)) != sizeof(message)) {
        abort();
    }
    copy.dst = message.arg.pagefault.address & ~4095ull;
    if (!wrong && ioctl(uffd, UFFDIO_COPY, &copy)) {
        abort();
    }
    return NULL;
}

static void touch(void)
{
    printf("%s", page);
}

/* The system touches it on behalf of the thread. */
static void read_into(void)
{
    if (pipe(ends) || write(ends[1], "piped", 6) != 6) {
        abort();
    }
    if (read(ends[0], page, 6) == 6) {
        printf("%s%s", page, page + 7);
    }
}

static void missing(void (*rest)(void))
{
    struct uffdio_api api = { .api = UFFD_API };
    struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

    page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uffd = syscall(SYS_userfaultfd, 0);
    range.range.start = (unsigned long)page;
    range.range.len = 8192;
    madvise(page, 8192, MADV_DONTNEED);
    page[4096] = 1;                 /* it is there: nobody has to bring it */
    if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &range)) {
        abort();
    }
    assert(page[4096] == 1);
    with(bring, rest);
}

static void fault(void)
{
    missing(touch);
}

static void into(void)
{
    missing(read_into);
}

/* The rarer locks. */
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

static void *rw(void *opaque)
{
    int seen;

    if (wrong) {
        pthread_rwlock_rdlock(&rwlock);
    } else {
        pthread_rwlock_wrlock(&rwlock);
    }
    seen = count;
    sched_yield();
    count = seen + 1;
    pthread_rwlock_unlock(&rwlock);
    return NULL;
}

static void rwlocks(void)
{
    both(rw);
    printf("%d", count);
}

static sem_t semaphore;

static void *take(void *opaque)
{
    int seen;

    while (sem_wait(&semaphore) < 0) {
    }
    seen = count;
    sched_yield();
    count = seen + 1;
    sem_post(&semaphore);
    return NULL;
}

static void semaphores(void)
{
    sem_init(&semaphore, 0, wrong ? 2 : 1);
    both(take);
    printf("%d", count);
}

static pthread_spinlock_t spin;

static void *spin_it(void *opaque)
{
    int seen;

    if (!wrong || opaque == (void *)1) {
        pthread_spin_lock(&spin);
    }
    seen = count;
    sched_yield();
    count = seen + 1;
    if (!wrong || opaque == (void *)1) {
        pthread_spin_unlock(&spin);
    }
    return NULL;
}

static void spins(void)
{
    pthread_spin_init(&spin, 0);
    both(spin_it);
    printf("%d", count);
}

static pthread_once_t control = PTHREAD_ONCE_INIT;

static void init(void)
{
    sched_yield();
    count++;
}

static void *do_once(void *opaque)
{
    static bool begun;

    if (!wrong) {
        pthread_once(&control, init);
    } else if (!begun) {
        begun = true;
        init();
    }
    printf("%d ", count);
    return NULL;
}

static void once(void)
{
    both(do_once);
}

/* Ends of a process. */
static void asserts(void)
{
    assert(!wrong);
}

static void exits(void)
{
    exit(wrong ? 3 : 0);
}

static void aborts(void)
{
    if (wrong) {
        abort();
    }
}

static void null(void)
{
    struct node node = { .next = &node };

    printf("%d", follow(wrong ? NULL : &node));
}

/* An endless loop of operations, each of which waits. */
static void loop(void)
{
    while (wrong || count++ < 1000) {
        usleep(1);
    }
}

static const struct program programs[] = {
    { "mutex", mutex }, { "recursive", recursive }, { "trylock", trylock },
    { "deadlock", deadlock }, { "lost", lost }, { "spurious", spurious },
    { "futex", futex }, { "pipes", pipes }, { "sockets", sockets },
    { "join", join }, { "local", local }, { "keys", keys },
    { "time", virtual_time }, { "timeouts", timeouts },
    { "double_free", double_free }, { "use_after_free", use_after_free },
    { "fault", fault }, { "into", into }, { "rwlock", rwlocks }, { "semaphore", semaphores },
    { "spin", spins }, { "once", once }, { "assert", asserts },
    { "exit", exits }, { "abort", aborts }, { "null", null },
    { "loop", loop },
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return run_chosen(programs, argv);
}
