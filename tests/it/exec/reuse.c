/*
 * A call that waits while its descriptor is closed and becomes another file's:
 * right, the thread is in it; wrong, it may come later, and reads what is not for
 * it. As trial.c, of which this has the form.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool wrong;
static int ends[2];

static void *reads(void *opaque)
{
    char bytes[8] = "";
    ssize_t got = recv(ends[0], bytes, sizeof(bytes), 0);

    printf("%zd %s", got, bytes);
    return NULL;
}

static void reused(void)
{
    pthread_t thread;
    int other[2];

    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    pthread_create(&thread, NULL, reads, NULL);
    if (!wrong) {
        usleep(1000);               /* time passes when nobody can run */
    }
    shutdown(ends[0], SHUT_RDWR);
    close(ends[0]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, other);
    if (other[0] != ends[0] || send(other[1], "new", 3, 0) != 3) {
        printf("? ");
    }
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    wrong = !strcmp(argv[2], "wrong");
    usleep(1000);
    reused();
    return 0;
}
