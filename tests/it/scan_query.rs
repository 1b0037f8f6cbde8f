//! Questions about a tree: who calls what, by which paths, who needs the BQL. A
//! small tree of our own with exact answers, and what real trees answer.

use crate::cli::{directory, run};
use crate::trees;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// The small tree: a hook with an implementation of each kind.
const SMALL: [(&str, &str); 3] = [
    ("VERSION", "10.0.0\n"),
    (
        "migration/savevm.c",
        r#"
typedef struct SaveVMHandlers {
    int (*load_setup)(void *opaque);
    int (*load_cleanup)(void *opaque);
} SaveVMHandlers;

typedef struct SaveStateEntry {
    const SaveVMHandlers *ops;
    void *opaque;
} SaveStateEntry;

static void handlers_cleanup(SaveStateEntry *se)
{
    if (se->ops->load_cleanup) {
        se->ops->load_cleanup(se->opaque);
    }
}

static void *listen_thread(void *opaque)
{
    handlers_cleanup(opaque);
    return NULL;
}

static void never_called(SaveStateEntry *se)
{
    handlers_cleanup(se);
}

void qmp_listen_start(SaveStateEntry *se)
{
    qemu_thread_create(&thread, "listen", listen_thread, se, 0);
}

void qmp_listen_stop(SaveStateEntry *se)
{
    handlers_cleanup(se);
}
"#,
    ),
    (
        "hw/devices.c",
        r#"
static void area_unmap(void *opaque)
{
    assert(bql_locked());
    unmap(opaque);
}

static int area_load_cleanup(void *opaque)
{
    if (opaque) {
        area_unmap(opaque);
    }
    return 0;
}

static void pool_free(Pool *pool)
{
    bql_unlock();
    qemu_sem_wait(&pool->done);
    bql_lock();
}

static int pool_load_cleanup(void *opaque)
{
    Pool *pool = opaque;

    g_clear_pointer(&pool->next, pool_free);
    return 0;
}

static int timer_load_cleanup(void *opaque)
{
    bql_lock();
    timers--;
    bql_unlock();
    return 0;
}

static int count_load_cleanup(void *opaque)
{
    count = 0;
    return 0;
}

static int broken_load_cleanup(void *opaque)
{
    if (opaque ( {
    return 0;
}

static const SaveVMHandlers savevm_area = { .load_cleanup = area_load_cleanup };
static const SaveVMHandlers savevm_pool = { .load_cleanup = pool_load_cleanup };
static const SaveVMHandlers savevm_timer = { .load_cleanup = timer_load_cleanup };
static const SaveVMHandlers savevm_count = { .load_cleanup = count_load_cleanup };
"#,
    ),
];

/// Asks the small tree; the exit code and both outputs.
fn ask(test: &str, arguments: &[&str]) -> (i32, String, String) {
    let place = directory(&format!("query-{test}"));
    for (path, text) in SMALL {
        let path = place.join("small").join(path);
        std::fs::create_dir_all(path.parent().expect("in the tree")).expect("a place to write");
        std::fs::write(path, text).expect("a place to write");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_bqlcheck"));
    let output = command.args(arguments).arg("--no-cache").current_dir(place).output();
    let output = output.expect("it was just built");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}
