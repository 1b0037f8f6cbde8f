/*
 * What state a migration is in, on either side, and how QEMU calls that. It is
 * asked for before each call of libc, so all changes are seen that another
 * thread, or the other side, could notice.
 */
#include "qemu/osdep.h"
#include "migration/migration.h"
#include "migration/postcopy-ram.h"
#include "qapi/qapi-types-migration.h"

/* In libbqlcheck.so. */
void bqlcheck_states(int (*state)(int), const char *(*name)(int));

/* 0: of the source, 1: of the destination, 2: PostcopyState. */
static int migration_state(int which)
{
    switch (which) {
    case 0:
        return migrate_get_current()->state;
    case 1:
        return migration_incoming_get_current()->state;
    default:
        return postcopy_state_get();
    }
}

static const char *migration_status(int value)
{
    return MigrationStatus_str(value);
}

static void __attribute__((constructor)) migration_states_register(void)
{
    bqlcheck_states(migration_state, migration_status);
}
