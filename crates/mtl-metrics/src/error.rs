//! Errors of accumulators.

/// Invalid input. The accumulator is unchanged.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Truth and prediction of different sizes.
    #[error("{truth} labels but {predicted} predictions: one prediction per label is needed, missing labels included")]
    Length {
        /// Number of labels.
        truth: usize,
        /// Number of predictions.
        predicted: usize,
    },
    /// A slice whose length is not divisible into rows.
    #[error("{len} values are not divisible into {into} equal {rows}: check the shape of the batch")]
    Shape {
        /// Number of values.
        len: usize,
        /// Number of parts.
        into: usize,
        /// Kind of the parts: `images`, `labels`.
        rows: &'static str,
    },
    /// A label or prediction outside the classes.
    #[error("{what} {index} is class {value}, but the task has {classes} classes (0 to {}): check the class list", .classes.saturating_sub(1))]
    Class {
        /// `label` or `prediction`.
        what: &'static str,
        /// Its position in the slice.
        index: usize,
        /// The class.
        value: i64,
        /// Number of classes.
        classes: usize,
    },
    /// A yes/no label that is neither 0, 1 nor NaN.
    #[error("label {index} is {value}, but yes/no labels are 1, 0 or NaN (missing)")]
    NotBinary {
        /// Its position in the slice.
        index: usize,
        /// The value.
        value: f32,
    },
    /// An infinite label, or a prediction that is NaN or infinite.
    #[error("{what} {index} is {value}: {hint}")]
    NonFinite {
        /// `label`, `prediction`, `image value` ...
        what: &'static str,
        /// Its position in the slice.
        index: usize,
        /// The value.
        value: f32,
        /// Advice for the user.
        hint: &'static str,
    },
    /// A target or prediction of another kind than the task.
    #[error("{found} added to a {expected} score: check that the head serves this kind of task")]
    Kind {
        /// Kind of the accumulator.
        expected: &'static str,
        /// Kind of the target or prediction.
        found: &'static str,
    },
    /// A feature that is NaN or infinite.
    #[error(
        "feature {feature} of image {image} is {value}: the network that computed it, or the generator that drew the image, has diverged"
    )]
    Feature {
        /// Row of the image.
        image: usize,
        /// Column of the feature.
        feature: usize,
        /// The value.
        value: f64,
    },
    /// Features of two networks.
    #[error("{left} and {right} features per image: compare features of one network")]
    Width {
        /// Features per real image.
        left: usize,
        /// Features per generated image.
        right: usize,
    },
    /// Fewer images than a measure needs.
    #[error("{measure}: {found} {which}, at least {needed} are needed")]
    TooFew {
        /// The measure.
        measure: &'static str,
        /// Of what there are too few.
        which: &'static str,
        /// Number given.
        found: usize,
        /// Number needed.
        needed: usize,
    },
    /// An iteration that does not end.
    #[error("{measure}: the singular values of these features do not converge: scale the features to about 1")]
    NotConverged {
        /// The measure.
        measure: &'static str,
    },
    /// Merging accumulators of different tasks.
    #[error("cannot merge scores of {left} with scores of {right}: they are of different tasks")]
    Merge {
        /// The accumulator merged into.
        left: String,
        /// The other accumulator.
        right: String,
    },
}

/// Equal lengths or [`Error::Length`].
pub(crate) fn same_length(truth: usize, predicted: usize) -> Result<(), Error> {
    if truth == predicted { Ok(()) } else { Err(Error::Length { truth, predicted }) }
}

/// A label that is present and its prediction; `None` where it is missing (NaN).
pub(crate) fn finite_pair(index: usize, truth: f32, predicted: f32) -> Result<Option<(f64, f64)>, Error> {
    if truth.is_nan() {
        return Ok(None);
    }
    if truth.is_infinite() {
        let hint = "labels are finite, or NaN where missing";
        return Err(Error::NonFinite { what: "label", index, value: truth, hint });
    }
    if !predicted.is_finite() {
        let hint = "the model has diverged: lower the learning rate";
        return Err(Error::NonFinite { what: "prediction", index, value: predicted, hint });
    }
    Ok(Some((f64::from(truth), f64::from(predicted))))
}

/// `len / into`, or [`Error::Shape`] if it does not divide.
pub(crate) fn divide(len: usize, into: usize, rows: &'static str) -> Result<usize, Error> {
    match len.checked_rem(into) {
        Some(0) => Ok(len / into),
        None if len == 0 => Ok(0),
        _ => Err(Error::Shape { len, into, rows }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividing() {
        assert_eq!(divide(12, 3, "images"), Ok(4));
        assert_eq!(divide(0, 0, "images"), Ok(0));
        assert_eq!(divide(0, 3, "images"), Ok(0));
        assert!(divide(12, 5, "images").is_err());
        assert!(divide(12, 0, "images").is_err());
    }

    #[test]
    fn messages_have_position_and_advice() {
        let error = Error::Class { what: "label", index: 7, value: 4, classes: 3 };
        assert_eq!(error.to_string(), "label 7 is class 4, but the task has 3 classes (0 to 2): check the class list");
    }
}
