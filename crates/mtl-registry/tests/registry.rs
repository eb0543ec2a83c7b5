//! `registry!` as the crates use it: settings per member, a trait that builds, further columns, a member behind a `cfg`.

use mtl_registry::{Entry, List};
use serde::{Deserialize, Serialize};

/// A tool and the number it gives: stands for trunks, heads, balancers.
trait Build {
    fn build(&self, scope: &str, channels: usize) -> Result<String, String>;
}

mod saw {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {
        pub teeth: usize,
    }

    impl Default for Config {
        fn default() -> Self {
            Self { teeth: 40 }
        }
    }

    impl Build for Config {
        fn build(&self, scope: &str, channels: usize) -> Result<String, String> {
            if self.teeth == 0 {
                Err("a saw needs teeth".into())
            } else {
                Ok(format!("{scope}:{}", self.teeth * channels))
            }
        }
    }
}

mod plane {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {}

    impl Build for Config {
        fn build(&self, scope: &str, _channels: usize) -> Result<String, String> {
            Ok(scope.to_owned())
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Facts {
    sharp: bool,
}

mtl_registry::registry! {
    /// Which tool.
    enum Config: "tool" as dyn Build = Plane;
    /// All tools.
    const TOOLS: Facts;

    HandSaw(saw::Config), "saw", "cuts across", "Disston 1840" => Facts { sharp: true };
    Plane(plane::Config), "plane", "smooths" => Facts { sharp: false };
    #[cfg(any())]
    Absent(absent::Config), "absent", "not compiled" => Facts { sharp: false };
}

mtl_registry::registry! {
    /// Names and settings alone: no default, no trait.
    enum Plain: "thing";
    /// All things.
    const THINGS;

    One(plane::Config), "one", "the only one";
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tool: Config,
}

fn read(text: &str) -> Result<Config, String> {
    toml::from_str::<File>(text).map(|file| file.tool).map_err(|error| error.to_string())
}

#[test]
fn tables_are_tagged_by_name() {
    assert_eq!(read("[tool.saw]\nteeth = 3"), Ok(Config::HandSaw(saw::Config { teeth: 3 })));
    assert_eq!(read("[tool.saw]"), Ok(Config::HandSaw(saw::Config { teeth: 40 })));
    assert_eq!(read(""), Ok(Config::Plane(plane::Config {})));
    for entry in TOOLS {
        let config = (entry.item.default)();
        assert_eq!(config.name(), entry.name);
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), [entry.name]);
        assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
        assert_eq!(Config::default_of(entry.name), Ok(config));
    }
}

#[test]
fn unknown_keys_and_names_are_errors() {
    let error = read("[tool.saw]\ntooth = 3").unwrap_err();
    assert!(error.contains("tooth") && error.contains("teeth") && error.contains("line 2"), "{error}");
    assert!(read("[tool.hand_saw]").unwrap_err().contains("saw"));
    assert!(read("[tool.saw]\n[tool.plane]").is_err());
    let error = Config::default_of("plain").unwrap_err().to_string();
    assert_eq!(error, "unknown tool `plain`: did you mean `plane`? (there are: saw, plane)");
}

#[test]
fn a_member_builds_itself() {
    let built = |text: &str| read(text).unwrap().member().build("shed", 2);
    assert_eq!(built("[tool.saw]\nteeth = 3"), Ok("shed:6".to_owned()));
    assert_eq!(built("[tool.saw]\nteeth = 0"), Err("a saw needs teeth".to_owned()));
    assert_eq!(built(""), Ok("shed".to_owned()));
}

#[test]
fn the_list_has_every_column() {
    let rows: Vec<_> = TOOLS.iter().map(|e| (e.name, e.summary, e.item.paper, e.item.facts)).collect();
    let saw = ("saw", "cuts across", Some("Disston 1840"), Facts { sharp: true });
    assert_eq!(rows, [saw, ("plane", "smooths", None, Facts { sharp: false })]);
    assert_eq!((THINGS.len(), (THINGS[0].item.default)().name()), (1, "one"));
    assert_eq!(Plain::default_of("one"), Ok(Plain::One(plane::Config {})));
}

/// Settings from outside the enum are built by the same trait and stand in the same list.
#[test]
fn another_crate_adds_a_member() {
    #[derive(Default, Deserialize)]
    struct Drill {
        bits: usize,
    }
    impl Build for Drill {
        fn build(&self, scope: &str, channels: usize) -> Result<String, String> {
            Ok(format!("{scope}:{}", self.bits + channels))
        }
    }
    type Reader = fn(serde_json::Value) -> Result<Box<dyn Build>, serde_json::Error>;
    fn reader<C: Build + for<'de> Deserialize<'de> + 'static>(
        settings: serde_json::Value,
    ) -> Result<Box<dyn Build>, serde_json::Error> {
        Ok(Box::new(serde_json::from_value::<C>(settings)?))
    }
    let built_in: [Entry<Reader>; 2] = [
        Entry { name: "saw", summary: "", item: reader::<saw::Config> },
        Entry { name: "plane", summary: "", item: reader::<plane::Config> },
    ];
    let mut list = List::new("tool", built_in).unwrap();
    list.add(Entry { name: "drill", summary: "makes holes", item: reader::<Drill> }).unwrap();
    let build = |name: &str, settings: &str| {
        (list.find(name).unwrap().item)(serde_json::from_str(settings).unwrap()).unwrap().build("shed", 2).unwrap()
    };
    assert_eq!(build("drill", r#"{"bits": 5}"#), "shed:7");
    assert_eq!(build("saw", r#"{"teeth": 5}"#), "shed:10");
}
