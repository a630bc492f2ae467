//! The file for the results: there whole, or not at all.
//!
//! Whether it can be written is tried before the run, by making a temporary file
//! beside it. That one is removed at once, so that a run which is stopped leaves
//! nothing; after the run the results are written to another, which is renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use percid_benches::record::Record;

use crate::error::Error;

/// Where results go.
#[derive(Debug)]
pub(crate) struct Target {
    /// As it was asked for.
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A regular file: this one is to be replaced, or made.
    File(PathBuf),
    /// A device or a pipe, which nothing may replace.
    Stream(File),
}

impl Target {
    /// Makes sure that results can be written there.
    ///
    /// # Errors
    ///
    /// If they cannot; nothing is left behind.
    pub(crate) fn prepare(path: &Path) -> Result<Target, Error> {
        let place = place(path).map_err(|why| Error::Target {
            path: path.to_owned(),
            why,
        })?;
        Ok(Target {
            path: path.to_owned(),
            place,
        })
    }

    /// Writes results as JSON.
    ///
    /// # Errors
    ///
    /// As [`write`](Target::write).
    pub(crate) fn write_json(self, record: &Record) -> Result<(), Error> {
        let mut json = serde_json::to_string_pretty(record)?;
        json.push('\n');
        self.write(&json)
    }

    /// Writes a text.
    ///
    /// # Errors
    ///
    /// If that fails; what was there before is there still.
    pub(crate) fn write(self, text: &str) -> Result<(), Error> {
        let written = match self.place {
            Place::File(path) => Temporary::beside(&path).and_then(|mut temporary| {
                temporary.file.write_all(text.as_bytes())?;
                temporary.file.sync_all()?;
                temporary.replace(&path)
            }),
            Place::Stream(mut stream) => stream.write_all(text.as_bytes()),
        };
        written.map_err(|why| Error::Results {
            path: self.path,
            why,
        })
    }
}

fn place(path: &Path) -> io::Result<Place> {
    let real = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(found) => {
            // Opening neither makes nor changes anything.
            let file = OpenOptions::new().write(true).open(path)?;
            if !found.is_file() {
                return Ok(Place::Stream(file));
            }
            // Behind a symbolic link, it is the file that is to be replaced.
            path.canonicalize()?
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(why) => return Err(why),
    };
    drop(Temporary::beside(&real)?);
    Ok(Place::File(real))
}

/// A file that goes when this goes.
struct Temporary {
    file: File,
    path: PathBuf,
}

impl Temporary {
    /// Makes one in the directory of `path`.
    fn beside(path: &Path) -> io::Result<Temporary> {
        const NAMES: u32 = 16;
        if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "that is no name of a file",
            ));
        }
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut number = 0;
        loop {
            let path = directory.join(format!(".percid-{}-{number}.tmp", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Temporary { file, path }),
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists && number < NAMES => {
                    number += 1;
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// Puts it in the place of `path`.
    fn replace(self, path: &Path) -> io::Result<()> {
        // What `drop` removes afterwards is not there any more.
        fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already if it was renamed.
        let _ = fs::remove_file(&self.path);
    }
}
