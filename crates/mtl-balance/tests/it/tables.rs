//! REFERENCE.md, made from the reference values and ours. `MTL_WRITE_TABLES=1 cargo test -p mtl-balance tables` writes it.

use std::fmt::Write;

use serde_json::Value;

use crate::reference::{Ours, TABLE, cases, file};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/REFERENCE.md");

/// Method, its settings, torchjd's and LibMTL's names of it.
const METHODS: &[(&str, &str, &str, &str)] = &[
    ("mgda", r#"{"mgda": {}}"#, "MGDA_default(eps=1e-3,iters=100)", "MGDA_none"),
    ("mgda, rows=l2", r#"{"mgda": {"rows": "l2"}}"#, "", "MGDA_l2"),
    ("cagrad", r#"{"cagrad": {}}"#, "CAGrad_c0.5", "CAGrad_c0.5_rescale1"),
    ("imtl_g", r#"{"imtl_g": {}}"#, "IMTLG", "IMTL(G with loss_scale=0)"),
    ("nash", r#"{"nash": {"max_norm": 0}}"#, "NashMTL_maxnorm0_first_call", ""),
    ("fairgrad", r#"{"fairgrad": {}}"#, "FairGrad_alpha1.0", "FairGrad_alpha1"),
    ("aligned", r#"{"aligned": {}}"#, "AlignedMTL_min", ""),
    ("dualproj", r#"{"dualproj": {}}"#, "DualProj", ""),
    ("upgrad", r#"{"upgrad": {}}"#, "UPGrad", "UPGrad"),
    ("config", r#"{"config": {}}"#, "ConFIG", ""),
    ("krum", r#"{"krum": {}}"#, "Krum_byz0_sel1", ""),
];
const INPUTS: &[(&str, &str)] = &[
    ("zero_row_3x3", "one gradient is zero"),
    ("parallel_rows_3x3", "two of three gradients are parallel"),
    ("antiparallel_2x2", "two gradients are opposed"),
    ("huge_scale_ratio_3x3", "lengths a million times apart"),
    ("all_zero_3x3", "all gradients are zero"),
    ("single_task_1x3", "one task"),
];

/// Three digits, and no sign of what is zero but for rounding.
fn words(vector: &[f64], size: f64) -> String {
    let number = |v: &f64| match v.abs() {
        x if x < 1e-12 * size || x == 0.0 => "0".to_owned(),
        x if (1e-3..1e4).contains(&x) => format!("{v:.3}"),
        _ => format!("{v:.2e}"),
    };
    vector.iter().map(number).collect::<Vec<_>>().join(", ")
}

fn theirs(value: &Value, size: f64) -> String {
    if value.get("error").is_some() {
        return "fails".to_owned();
    }
    match value["vector"].as_array() {
        None => "-".to_owned(),
        Some(numbers) if numbers.iter().any(Value::is_null) => "NaN".to_owned(),
        Some(numbers) => words(&numbers.iter().filter_map(Value::as_f64).collect::<Vec<_>>(), size),
    }
}

fn document(file: &Value) -> String {
    let all = cases(file);
    let mut text = "# Reference values

Made by `MTL_WRITE_TABLES=1 cargo test -p mtl-balance tables`, and held by that test, from values computed with torchjd 0.18.0, LibMTL \
4336804 and conflictfree 0.1.8 in double precision. The losses' methods, FAMO and DWA call by call, and an average over steps are held to the same libraries, GradNorm and ExcessMTL to \
LibMTL's own lines, and MGDA, DualProj, UPGrad, Nash, FairGrad and PCD to clarabel on random problems, by tests without a table.

## Equal
Update vectors (weights where the library has no more), in every call where there are several; the difference is the largest over all \
cases compared, relative to the largest number of the answer, or of the gradients where the answer is zero but for rounding.

| library | its method | ours | cases | difference below | not compared |
|---|---|---|---:|---:|---|
"
    .to_owned();
    for row in TABLE {
        let found: Vec<f64> = all.iter().filter_map(|case| case.difference(row)?.ok()).collect();
        // To the next power of ten: the last digits are those of a machine.
        let power = found.iter().fold(1e-15f64, |most, off| most.max(*off)).log10().ceil();
        let short = |name: &&str| name.rsplit_once('_').map_or(*name, |(name, _)| name).to_owned();
        let apart: Vec<String> = row.apart.iter().map(short).collect();
        let (ours, below, apart) = match &row.ours {
            Ours::Nothing(why) => ("-".to_owned(), "-".to_owned(), (*why).to_owned()),
            Ours::Method(config) => {
                (config.replace(['"', '\n'], "").replace(": {}", ""), format!("1e{power}"), apart.join(", "))
            }
            Ours::PcGrad(down) => (
                format!("{{pcgrad}}, {}scending", if *down { "de" } else { "a" }),
                format!("1e{power}"),
                apart.join(", "),
            ),
            Ours::GradVac => ("{gradvac}, ascending".to_owned(), format!("1e{power}"), apart.join(", ")),
            Ours::GradDrop(leak) => {
                (format!("{{graddrop: {{leak: {leak}}}}}, draws given"), format!("1e{power}"), apart.join(", "))
            }
        };
        writeln!(text, "| {} | {} | `{ours}` | {} | {below} | {apart} |", row.library, row.theirs, found.len())
            .unwrap();
    }
    text += "
The cases not compared are those where ours differs on purpose (the table below), and those where the \
libraries' solvers stop early, or regularise (UPGrad and DualProj with their defaults by 1e-4, hence 1e-2): there ours is held to exact \
solutions (`exact_own_solver`), to its optimality conditions, or to sixty digits.

## Degenerate inputs
What the libraries do, and what we do: a gradient of length zero is left out, one task keeps weight 1, and where no direction helps all \
tasks the update of methods that promise to work against none is zero. A number that is not finite is an error naming the task. (MGDA on divided rows: the weights are those of LibMTL; it applies \
them to the divided gradients, ours as in the paper to the gradients as they are.) `-`: not among the values; `fails`: an exception.

| input | method | torchjd | LibMTL | ours |
|---|---|---|---|---|
";
    for (name, input) in INPUTS {
        let case = all.iter().find(|case| case.name == *name).unwrap();
        let size = case.rows.iter().flatten().fold(0.0f64, |most, v| most.max(v.abs()));
        for (method, config, torchjd, libmtl) in METHODS {
            let ours = words(&case.ask(config, false, 1)[0].vector, size);
            let theirs = |library: &str, name: &str| theirs(case.theirs(library, name), size);
            let (torchjd, libmtl) = (theirs("torchjd", torchjd), theirs("LibMTL", libmtl));
            writeln!(text, "| {input} | {method} | {torchjd} | {libmtl} | {ours} |").unwrap();
        }
    }
    text
}

#[test]
fn the_committed_tables_are_these() {
    let Some(file) = file() else { return };
    let text = document(&file);
    if std::env::var_os("MTL_WRITE_TABLES").is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    assert!(std::fs::read_to_string(FILE).unwrap() == text, "{FILE} is out of date: MTL_WRITE_TABLES=1 writes it anew");
}
