//! What can go wrong in the harness: what was wanted, what was found, what to do.

use std::path::PathBuf;

/// The harness's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the harness. Each message says what was being done and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, socket or process operation failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, with the path or program.
        doing: String,
        /// What the system answered.
        source: std::io::Error,
    },
    /// The API server refused a request or could not be reached.
    #[error("{doing}: {source}")]
    Api {
        /// What was being asked for.
        doing: String,
        /// What the client or the server answered.
        source: Box<kube::Error>,
    },
    /// A component of the control plane did not come up or ended by itself.
    #[error("{component} {found}; the end of its log {}:\n{tail}", log.display())]
    Component {
        /// The component's name.
        component: String,
        /// What happened.
        found: String,
        /// Where all of its output is.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Something was not as it must be.
    #[error("wanted {wanted}; found {found}; {todo}")]
    Unmet {
        /// What was wanted.
        wanted: String,
        /// What was found.
        found: String,
        /// What to do about it.
        todo: String,
    },
    /// A command ended with another exit code than was wanted.
    #[error("`{command}` ended with {code}\nstdout:\n{stdout}\nstderr:\n{stderr}")]
    Command {
        /// The command line.
        command: String,
        /// The exit code; -1 when a signal ended it.
        code: i32,
        /// What it printed.
        stdout: String,
        /// What it complained about.
        stderr: String,
    },
}

impl Error {
    /// A function for `map_err` on I/O results.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// A function for `map_err` on API results.
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api { doing, source: Box::new(source) }
    }

    /// Something that is not as it must be.
    pub(crate) fn unmet(
        wanted: impl Into<String>,
        found: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        Self::Unmet { wanted: wanted.into(), found: found.into(), todo: todo.into() }
    }
}

/// Whether the API server answered with this HTTP status.
pub(crate) fn is_status(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}
