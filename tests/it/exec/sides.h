/*
 * Programs that two processes run against each other: `NAME right 0` and `NAME
 * right 1`. Side 1 listens before the first sleep, which is where the snapshot is
 * taken; then side 0 connects.
 */
#include "programs.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static int side;
static int fd;

static int run_side(const struct program *all, char **argv)
{
    const struct program *program = chosen(all, argv);
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "there" };
    int listener = -1;

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
    if (!program) {
        return 2;
    }
    program->run();
    return 0;
}
