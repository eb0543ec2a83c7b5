//! Public data sets: their manifests, download over HTTP, unpacking. The only library of this workspace with a socket.
//!
//! A manifest (`data/NAME.toml`, compiled into this crate) gives contents, licence, citation, and URL, size and SHA-256
//! of each file. [`Download`] fetches the files to `DIR/NAME.archives`, continues broken connections, compares size and
//! SHA-256, unpacks to `DIR/NAME.unpacking` and renames that to `DIR/NAME`: a folder under its final name is complete.
//! Archives are treated as hostile: names that lead outside, links, devices and more bytes than the manifest allows are
//! refused.
//!
//! This crate never prints. Progress goes to a callback; [`Progress`] and [`Error`] have words for people.
//!
//! **Cost.** 60 packages, of which TLS (rustls with ring) is the slowest to build; 64 KiB of memory per open file; disk
//! space for archives and unpacked files at the same time. The feature `hub` adds about 300 packages, among them an
//! asynchronous runtime and a C library (aws-lc): minutes of building. Neither is part of the default build of `mtl`.
//!
//! ```
//! let names: Vec<String> = mtl_hub::datasets()?.into_iter().map(|manifest| manifest.name).collect();
//! assert!(names.contains(&"mnist".to_owned()));
//!
//! let mnist = mtl_hub::dataset("mnist")?;
//! assert_eq!(mtl_hub::mebibytes(mnist.size_bytes()), "11.1 MiB");
//!
//! let error = mtl_hub::dataset("mnits").unwrap_err();
//! assert!(error.to_string().contains("did you mean `mnist`?"));
//! # Ok::<(), mtl_hub::Error>(())
//! ```

mod download;
mod error;
mod http;
#[cfg(feature = "hub")]
pub mod hugging_face;
#[cfg(test)]
mod loopback;
mod manifest;
mod progress;
mod unpack;

pub use download::{Download, Outcome};
pub use error::Error;
pub use http::{HttpOptions, sha256};
pub use manifest::{File, Manifest, dataset, datasets};
pub use progress::{Progress, mebibytes};
