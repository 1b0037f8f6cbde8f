/*
 * Data races of two processes, each right and wrong: `NAME right 0` and
 * `NAME right 1`. Both have the same variables at the same addresses; side 1
 * listens before the first sleep, where the snapshot is taken.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static bool wrong;
static int side;
static int fd;
static int count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int seen;

static void get(void)
{
    char c;

    if (read(fd, &c, 1) != 1) {
        abort();
    }
}

static void put(void)
{
    if (write(fd, "x", 1) != 1) {
        abort();
    }
}

static void with(void *(*body)(void *), void (*rest)(void))
{
    pthread_t other;

    pthread_create(&other, NULL, body, NULL);
    rest();
    pthread_join(other, NULL);
}

static void *locked_add(void *opaque)
{
    pthread_mutex_lock(&lock);
    count++;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *bare_add(void *opaque)
{
    count++;
    return NULL;
}

static void add_here(void)
{
    locked_add(NULL);
}

/* Each side adds to a counter of its own. Wrong: side 1 does without the lock. */
static void add(void)
{
    with(side == 1 && wrong ? bare_add : locked_add, add_here);
}

/* The same on the other side. */
static void add_first(void)
{
    with(side == 0 && wrong ? bare_add : locked_add, add_here);
}

/* One thread a side has no need of a lock. Wrong: there is one more on each. */
static void alone(void)
{
    if (wrong) {
        with(bare_add, add_here);
    } else {
        bare_add(NULL);
    }
}

static void *change_and_ask(void *opaque)
{
    count = 7;
    put();
    return NULL;
}

static void look_when_answered(void)
{
    if (wrong) {
        seen = count;
    }
    get();
    if (!wrong) {
        seen = count;
    }
}

/* What is asked before and answered after is ordered, by way of the other side. */
static void answer(void)
{
    if (side == 0) {
        with(change_and_ask, look_when_answered);
    } else {
        get();
        put();
    }
}

static void *change(void *opaque)
{
    if (!wrong) {
        pthread_mutex_lock(&lock);
    }
    count = 7;
    if (!wrong) {
        pthread_mutex_unlock(&lock);
    }
    put();
    return NULL;
}

static void look_locked(void)
{
    /* Until nothing else can run, which orders nothing. */
    usleep(1000);
    pthread_mutex_lock(&lock);
    seen = count;
    pthread_mutex_unlock(&lock);
    get();
}

/*
 * Side 1 knows of the change when it uses its lock, which is at the address of side
 * 0's. Wrong: the change is not made under side 0's.
 */
static void locks(void)
{
    if (side == 0) {
        with(change, look_locked);
    } else {
        get();
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
        put();
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} programs[] = {
    { "add", add }, { "add-first", add_first }, { "alone", alone },
    { "answer", answer }, { "locks", locks },
};

int main(int argc, char **argv)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "there" };
    int listener = -1;

    wrong = !strcmp(argv[2], "wrong");
    side = atoi(argv[3]);
    if (side == 1) {
        listener = socket(AF_UNIX, SOCK_STREAM, 0);
        bind(listener, (void *)&address, sizeof(address));
        listen(listener, 1);
    }
    usleep(1000);
    if (side == 0) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (void *)&address, sizeof(address))) {
            return 2;
        }
    } else {
        fd = accept(listener, NULL, NULL);
    }
    for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
        if (!strcmp(programs[i].name, argv[1])) {
            programs[i].run();
            return 0;
        }
    }
    return 2;
}
