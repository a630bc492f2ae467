//! The examples of percid: see the files beside this one.
