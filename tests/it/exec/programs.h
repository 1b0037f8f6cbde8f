/*
 * Programs by name, each right and wrong: `NAME right` or `NAME wrong`.
 */
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

bool wrong;

/* The last of them has no name. */
struct program {
    const char *name;
    void (*run)(void);
};

static const struct program *chosen(const struct program *all, char **argv)
{
    wrong = !strcmp(argv[2], "wrong");
    for (; all->name; all++) {
        if (!strcmp(all->name, argv[1])) {
            return all;
        }
    }
    return NULL;
}

/* The first sleep is where the snapshot is taken. */
static inline int run_chosen(const struct program *all, char **argv)
{
    const struct program *program = chosen(all, argv);

    if (!program) {
        return 2;
    }
    usleep(1000);
    program->run();
    return 0;
}
