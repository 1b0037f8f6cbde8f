//! A command line as words, and back. The only file that names shlex.
//! Must not know: what the words mean.

/// The words of `line`, as a POSIX shell takes them; none if a quote is open.
pub fn split(line: &str) -> Option<Vec<String>> {
    shlex::split(line)
}

/// The words of a response file: quotes and backslashes as in a shell, but
/// nothing is a comment.
pub fn response(text: &str) -> Option<Vec<String>> {
    let mut lexer = shlex::Shlex::new(text);
    // shlex takes `#` for a comment where a word begins; compilers do not.
    if text.contains('#') {
        let quoted = text.replace('#', "\\#");
        lexer = shlex::Shlex::new(&quoted);
        let words = lexer.by_ref().collect();
        return (!lexer.had_error).then_some(words);
    }
    let words = lexer.by_ref().collect();
    (!lexer.had_error).then_some(words)
}
