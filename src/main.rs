//! Parse, run, exit code.

fn main() -> std::process::ExitCode {
    bqlcheck::cli::run().into()
}
