//! Image formats that are not read, and how to convert them.

/// A format that is not read.
pub(crate) struct Foreign {
    /// In the plural.
    pub kind: &'static str,
    /// Extensions of its files.
    pub ends: &'static [&'static str],
    pub remedy: &'static str,
}

pub(crate) const HEIC: Foreign =
    Foreign { kind: "HEIC files", ends: &["heic", "heif"], remedy: "convert with `heif-convert x.heic x.jpg`" };
pub(crate) const AVIF: Foreign =
    Foreign { kind: "AVIF files", ends: &["avif"], remedy: "convert with `avifdec x.avif x.png`" };
pub(crate) const JPEG_2000: Foreign = Foreign {
    kind: "JPEG 2000 files",
    ends: &["jp2", "j2k", "jpx"],
    remedy: "convert with `opj_decompress -i x.jp2 -o x.png`",
};
pub(crate) const DICOM: Foreign = Foreign {
    kind: "DICOM files",
    ends: &["dcm", "dicom"],
    remedy: "convert with `dcm2pnm +on x.dcm x.png`, or build mtl with `--features dicom`",
};

/// All of them, for files that are recognised by name.
pub(crate) const FOREIGN: &[Foreign] = &[
    HEIC,
    AVIF,
    JPEG_2000,
    #[cfg(not(feature = "dicom"))]
    DICOM,
    Foreign {
        kind: "NIfTI volumes",
        ends: &["nii", "nii.gz"],
        remedy: "cut them into slices with `mtl data slices VOLUMES OUT` (built with `--features nifti`)",
    },
    Foreign { kind: "volumes", ends: &["nrrd", "mha"], remedy: "convert their slices to PNG" },
    Foreign { kind: "NumPy arrays", ends: &["npy", "npz"], remedy: "convert to PNG or TIFF" },
    Foreign {
        kind: "files of this type",
        ends: &["svg", "psd", "exr", "hdr", "tga", "dng", "cr2", "nef", "raw"],
        remedy: "convert to PNG or TIFF",
    },
];
