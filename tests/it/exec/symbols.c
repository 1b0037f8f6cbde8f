/* Structures in QEMU's idiom, to be named from an address. */
#include <stddef.h>

typedef struct QemuMutex {
    long lock[5];
    int initialized;
} QemuMutex;

typedef struct Inner {
    int before;
    QemuMutex mutex;
} Inner;

typedef struct State State;

struct State {
    void *file;
    Inner inner[3];
    union {
        long number;
        char text[8];
    };
    volatile int flag;
    QemuMutex last;
};

State state;
static QemuMutex big_lock;
static Inner pair[2];

static inline __attribute__((always_inline)) int twice(int n)
{
    return n +
           big_lock.initialized++; /* inlined */
}

__attribute__((noinline)) int outer(int n)
{
    return twice(n) + pair[n & 1].before++;
}

static State *current;
struct {
    Inner *params;
    int number;
    QemuMutex lock;
} *with_array;
struct {
    int number;
    Inner *params;
} *with_array_later;

#define PLACE(member) (size_t)((char *)&state.member - (char *)&state)

int main(void)
{
    current = &state;
    return outer(PLACE(flag)) + (current->file != NULL) + (with_array != NULL) +
           (with_array_later != NULL);
}
