//! The macro [`registry!`](crate::registry!) and the item of its entries.

/// The item of an [`Entry`](crate::Entry) that [`registry!`](crate::registry!) makes.
#[derive(Clone, Copy, Debug)]
pub struct Member<C: 'static, F: 'static = ()> {
    /// The configuration that chooses this member with its default settings.
    pub default: fn() -> C,
    /// Authors, year and number of the paper, if the member comes from one.
    pub paper: Option<&'static str>,
    /// Further columns of the list, where the registry has any.
    pub facts: F,
}

/// Configuration enum, list, look-up and dispatch of a kind of thing (trunks, heads, balancers ...), from one line per member.
///
/// ```
/// mod round {
///     // In a crate: the file `round.rs`.
///     #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
///     #[serde(default, deny_unknown_fields)]
///     pub struct Config {
///         /// Diameter in millimetres. 4.
///         pub width: f64,
///     }
///     impl Default for Config {
///         fn default() -> Self {
///             Self { width: 4.0 }
///         }
///     }
///     impl super::Brush for Config {
///         fn stroke(&self, length: f64) -> f64 {
///             self.width * length
///         }
///     }
/// }
/// mod flat {
///     #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
///     #[serde(default, deny_unknown_fields)]
///     pub struct Config {}
///     impl super::Brush for Config {
///         fn stroke(&self, length: f64) -> f64 {
///             10.0 * length
///         }
///     }
/// }
///
/// /// Implemented by the settings of every member. In a crate its method is `build`.
/// pub trait Brush {
///     fn stroke(&self, length: f64) -> f64;
/// }
///
/// mtl_registry::registry! {
///     /// Which brush paints: one table `[brush.round]` in a configuration file.
///     pub enum Config: "brush" as dyn Brush = Round;
///     /// All brushes.
///     pub const BRUSHES;
///
///     Round(round::Config), "round", "a round tip", "Smith 1990";
///     Flat(flat::Config), "flat", "a flat tip, 10 mm wide";
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config: Config = serde_json::from_str(r#"{"round": {"width": 2.0}}"#)?;
/// assert_eq!(config.name(), "round");
/// assert_eq!(config.member().stroke(3.0), 6.0);
/// assert_eq!(Config::default(), Config::Round(round::Config { width: 4.0 }));
/// assert_eq!(Config::default_of("flat")?, Config::Flat(flat::Config {}));
/// let error = Config::default_of("flet").unwrap_err();
/// assert_eq!(error.to_string(), "unknown brush `flet`: did you mean `flat`? (there are: round, flat)");
/// assert!(serde_json::from_str::<Config>(r#"{"round": {"wdth": 2.0}}"#).is_err());
/// assert_eq!((BRUSHES[0].name, BRUSHES[0].item.paper), ("round", Some("Smith 1990")));
/// assert_eq!((BRUSHES[1].item.default)(), Config::Flat(flat::Config {}));
/// # Ok(())
/// # }
/// ```
///
/// # Header
/// - `enum NAME: "KIND"`: the enum, externally tagged by the members' names. The kind stands in "unknown KIND `...`".
/// - `as dyn TRAIT` (optional): the enum gets `member(&self) -> &dyn TRAIT`, which is how a member is built. Settings of every
///   member implement the trait, usually `build` with the arguments of that kind of thing. A type from another crate that
///   implements the trait is built in the same way, without the enum.
/// - `= VARIANT` (optional): the enum gets `Default`.
/// - `const LIST`: `&[Entry<Member<NAME>>]`, in the order of the lines. `const LIST: FACTS` adds further columns of type `FACTS`;
///   each line then ends with `=> EXPRESSION`.
///
/// # Lines
/// `VARIANT(TYPE), "NAME", "SUMMARY";` with `, "PAPER"` where there is one, and `#[cfg(...)]` before it where it depends on a
/// feature. `TYPE` implements `Default`, `Clone`, `Debug`, `PartialEq`, serde's two traits and `TRAIT`. A crate that calls the
/// macro depends on serde with `derive`. `pub mod NAME;` remains a line of its own: rustfmt and editors do not follow modules
/// that a macro declares.
#[macro_export]
macro_rules! registry {
    (
        $(#[$attribute:meta])*
        $vis:vis enum $config:ident: $kind:literal $(as dyn $build:path)? $(= $default:ident)?;
        $(#[$list_attribute:meta])*
        $list_vis:vis const $list:ident $(: $facts:ty)?;
        $(
            $(#[cfg($($cfg:tt)*)])?
            $variant:ident($member:ty), $name:literal, $summary:literal $(, $paper:literal)? $(=> $fact:expr)?;
        )*
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $vis enum $config {
            $($(#[cfg($($cfg)*)])? #[doc = $summary] #[serde(rename = $name)] $variant($member),)*
        }

        $(#[$list_attribute])*
        $list_vis const $list: &[$crate::Entry<$crate::Member<$config $(, $facts)?>>] = &[
            $($(#[cfg($($cfg)*)])? $crate::Entry {
                name: $name,
                summary: $summary,
                item: $crate::Member {
                    default: || $config::$variant(<$member as ::core::default::Default>::default()),
                    paper: $crate::registry!(@paper $($paper)?),
                    facts: ($($fact)?),
                },
            },)*
        ];

        impl $config {
            /// The name in configuration files and in the list.
            pub fn name(&self) -> &'static str {
                match self {
                    $($(#[cfg($($cfg)*)])? Self::$variant(_) => $name,)*
                }
            }

            /// The member called `name` with its default settings.
            ///
            /// # Errors
            /// No member has this name; the error lists the names and suggests the nearest.
            pub fn default_of(name: &str) -> ::core::result::Result<Self, $crate::UnknownName> {
                ::core::result::Result::Ok(($crate::find($kind, $list, name)?.item.default)())
            }
        }

        $crate::registry!(@member $config ($($build)?) { $($(#[cfg($($cfg)*)])? $variant)* });
        $crate::registry!(@default $config $($default)?);
    };

    (@paper) => { ::core::option::Option::None };
    (@paper $paper:literal) => { ::core::option::Option::Some($paper) };

    (@member $config:ident () $variants:tt) => {};
    (@member $config:ident ($build:path) { $($(#[cfg($($cfg:tt)*)])? $variant:ident)* }) => {
        impl $config {
            /// The settings of the chosen member, as the trait that builds it.
            pub fn member(&self) -> &(dyn $build + 'static) {
                match self {
                    $($(#[cfg($($cfg)*)])? Self::$variant(settings) => settings,)*
                }
            }
        }
    };

    (@default $config:ident) => {};
    (@default $config:ident $default:ident) => {
        impl ::core::default::Default for $config {
            fn default() -> Self {
                Self::$default(::core::default::Default::default())
            }
        }
    };
}
