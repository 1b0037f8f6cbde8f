//! Progress on stderr: a line that changes on a terminal, else one a minute.
//! Nothing in the first second. The only file that names indicatif.
//! Must not know: what progresses.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Shows progress until it is dropped.
pub struct Progress {
    stop: Option<Sender<()>>,
    shower: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows what `line` says, which is told how long it has been.
    pub fn start(line: impl Fn(Duration) -> String + Send + 'static) -> Progress {
        let (stop, stopped) = channel::<()>();
        let shower = std::thread::spawn(move || {
            let started = Instant::now();
            let tty = std::io::stderr().is_terminal();
            let (first, period) = match tty {
                true => (Duration::from_secs(1), Duration::from_millis(200)),
                false => (Duration::from_secs(60), Duration::from_secs(60)),
            };
            let mut pause = first;
            let mut bar = None;
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = period;
                let text = line(started.elapsed());
                if tty {
                    let bar = bar.get_or_insert_with(spinner);
                    bar.set_message(text);
                    bar.tick();
                } else {
                    super::output::complain(&text);
                }
            }
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
        });
        Progress { stop: Some(stop), shower: Some(shower) }
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("a valid template");
    bar.with_style(style.tick_chars("|/-\\ "))
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(shower) = self.shower.take() {
            // It can only have panicked in drawing: no reason to end for that.
            let _ = shower.join();
        }
    }
}
