/*
 * The size of the guest's pages. A machine says how small they have to be at
 * least; "none" says nothing, and where they may vary QEMU would take the
 * smallest that any such guest has: 1 KiB of an Arm. As all its boards of the
 * last twenty years we want 4 KiB.
 */
#include "qemu/osdep.h"
#include "exec/page-vary.h"
#include "exec/target_page.h"

#define PAGE_BITS 12

/* In libbqlcheck.so. */
void bqlcheck_page_bits(int (*bits)(int which));

/* The same; since 10.1 it has the second name. */
int qemu_target_page_bits_min(void) __attribute__((weak));
int migration_legacy_page_bits(void) __attribute__((weak));

/* What a migration takes for granted that does not say it. */
static int legacy_page_bits(void)
{
    if (migration_legacy_page_bits) {
        return migration_legacy_page_bits();
    }
    return qemu_target_page_bits_min ? qemu_target_page_bits_min() : PAGE_BITS;
}

/* 0: those of this guest, 1: those that need not be said. */
static int page_bits(int which)
{
    return which == 0 ? qemu_target_page_bits() : legacy_page_bits();
}

static void __attribute__((constructor)) pages_prefer(void)
{
    if (legacy_page_bits() <= PAGE_BITS) {
        set_preferred_target_page_bits(PAGE_BITS);
    }
    bqlcheck_page_bits(page_bits);
}
