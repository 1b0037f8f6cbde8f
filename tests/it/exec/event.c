/*
 * An event as QEMU's util/ has it: only its atomic accesses are looked at, and
 * they order what migration/ does about it.
 */
#include <stdbool.h>

static int value;
static int calls;

void event_set(void)
{
    calls++;
    __atomic_store_n(&value, 1, __ATOMIC_RELEASE);
}

bool event_is_set(void)
{
    calls++;
    return __atomic_load_n(&value, __ATOMIC_ACQUIRE);
}
