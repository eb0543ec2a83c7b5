use super::*;
use crate::{OpenOptions, Size, open};

/// A volume of whole numbers of 16 bits: NIfTI-1, one file, little-endian.
fn write(path: &Path, sides: [u16; 3], values: impl Fn(usize, usize, usize) -> i16, scale: (f32, f32)) {
    let mut bytes = vec![0_u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348_i32.to_le_bytes());
    let axes = [3, sides[0], sides[1], sides[2], 1, 1, 1, 1];
    axes.iter().enumerate().for_each(|(at, side)| put(40 + 2 * at, &side.to_le_bytes()));
    put(70, &4_i16.to_le_bytes());
    put(72, &16_i16.to_le_bytes());
    put(108, &352_f32.to_le_bytes());
    put(112, &scale.0.to_le_bytes());
    put(116, &scale.1.to_le_bytes());
    put(344, b"n+1\0");
    let [w, h, d] = sides.map(usize::from);
    for at in 0..w * h * d {
        bytes.extend(values(at % w, at / w % h, at / (w * h)).to_le_bytes());
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn slices_are_upright_and_read_as_a_data_set() {
    let temp = tempfile::tempdir().unwrap();
    let from = temp.path().join("liver");
    for case in 0..4_i16 {
        let volume = |x: usize, y: usize, z: usize| (x + 10 * y + 100 * z) as i16 + case;
        write(&from.join(format!("imagesTr/case{case}_0000.nii")), [9, 8, 3], volume, (1.0, 0.0));
        let labels = |x: usize, _: usize, z: usize| i16::from(x < 4 && z == 1);
        write(&from.join(format!("labelsTr/case{case}.nii")), [9, 8, 3], labels, (0.0, 0.0));
    }
    write(&from.join("labelsTr/alone.nii"), [9, 8, 3], |_, _, _| 0, (1.0, 0.0));
    fs::write(from.join("dataset.json"), r#"{"labels": {"background": 0, "liver": 1}}"#).unwrap();
    let out = temp.path().join("slices");
    let written = cut(&from, &out, Options { window: Some((500.0, 1000.0)), ..Options::default() }).unwrap();
    assert_eq!((written.volumes, written.slices, written.labelled), (4, 12, 4));
    assert!(written.alone[0].ends_with("labelsTr/alone.nii"));
    let slice = image::open(out.join("images/case2_z001.png")).unwrap().to_luma16();
    // The first row is the last of the second axis.
    let value = |x: u32, y: u32| f32::from(slice.get_pixel(x, y).0[0]) / 65.535;
    for (x, y, expected) in [(0, 0, 172.0), (8, 0, 180.0), (0, 7, 102.0), (8, 7, 110.0)] {
        assert!((value(x, y) - expected).abs() < 0.02, "{x}, {y}: {}", value(x, y));
    }
    let data = open(&out, &OpenOptions::default()).unwrap();
    assert_eq!((data.len(), data.schema().channels), (12, 1));
    assert_eq!(data.schema().tasks.len(), 1, "the volume is no task: {:?}", data.schema().tasks);
    assert_eq!(data.schema().tasks[0].kind.classes(), ["background", "liver"]);
    let split = crate::split::Config { group: Some("group".into()), ..crate::split::Config::default() };
    let splits = crate::Splits::new(&*data, &split, mtl_rng::Seed::new(1)).unwrap();
    let volumes = |rows: &[usize]| rows.iter().map(|row| row / 3).collect::<std::collections::BTreeSet<_>>();
    assert!(volumes(&splits.train).is_disjoint(&volumes(&splits.test)));
    data.sample(0, Size { height: 8, width: 8 }).unwrap();
}

#[test]
fn ranges_axes_and_compressed_scale() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("one.nii");
    // Values 0 to 999 scaled by 2 less 1024, with outliers at both ends.
    let value = |x: usize, y: usize, z: usize| match x + 10 * y + 100 * z {
        0 => -30_000,
        999 => 30_000,
        at => at as i16,
    };
    write(&path, [10, 10, 10], value, (2.0, -1024.0));
    let voxels = Voxels::read(&path).unwrap();
    assert_eq!(voxels.values[5], 2.0 * 5.0 - 1024.0);
    assert_eq!(voxels.range(None), (2.0 * 5.0 - 1024.0, 2.0 * 994.0 - 1024.0));
    assert_eq!(voxels.slice(0, 3).0[0], 2.0 * (3.0 + 900.0) - 1024.0, "rows along the third axis, far end first");
    assert_eq!(voxels.slice(1, 3).1, [10, 10]);
    let out = temp.path().join("out");
    let written = cut(&path, &out, Options { axis: 0, window: None }).unwrap();
    assert_eq!((written.volumes, written.slices), (1, 10));
    assert!(out.join("images/one_x009.png").is_file() && !out.join("masks").exists());
    let again = cut(&path, &out, Options::default()).unwrap_err().to_string();
    assert!(again.contains("not empty"), "{again}");
}

#[test]
fn what_is_no_volume_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("images/a.nii");
    let refused = |name: &str| cut(temp.path(), &temp.path().join(name), Options::default()).unwrap_err().to_string();
    assert!(refused("o").contains("no volumes"));
    write(&path, [4, 4, 4], |_, _, _| 0, (1.0, 0.0));
    write(&temp.path().join("labels/a.nii"), [4, 4, 3], |_, _, _| 0, (1.0, 0.0));
    assert!(refused("p").contains("[4, 4, 3] voxels, its volume [4, 4, 4]"), "{}", refused("p"));
    write(&temp.path().join("labels/a.nii"), [4, 4, 4], |_, _, z| z as i16 - 1, (1.0, 0.0));
    assert!(refused("q").contains("holds -1"), "{}", refused("q"));
    let bytes = fs::read(&path).unwrap();
    for keep in [0, 100, 348, 360, bytes.len() - 1] {
        fs::write(&path, &bytes[..keep]).unwrap();
        assert!(refused("r").contains("a.nii"), "{keep}");
    }
    let mut claims = bytes.clone();
    (42..48).step_by(2).for_each(|at| claims[at..at + 2].copy_from_slice(&30_000_u16.to_le_bytes()));
    fs::write(&path, claims).unwrap();
    assert!(refused("s").contains("more than"), "{}", refused("s"));
    let mut four = bytes;
    four[40..42].copy_from_slice(&4_u16.to_le_bytes());
    four[48..50].copy_from_slice(&2_u16.to_le_bytes());
    fs::write(&path, four).unwrap();
    assert!(refused("t").contains("three axes"), "{}", refused("t"));
}
