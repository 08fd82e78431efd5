//! The authority of `--tls auto`, and what a command trusts.

mod authority; // the authority, kept in a folder
mod bundle; // files with the authorities that a command trusts
mod certificate; // what a certificate says

pub(crate) use authority::{Folder, Kept};
pub(crate) use bundle::Bundles;
