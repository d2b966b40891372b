//! What every image must do.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Verdict, expect, wrong};
use crate::fault::Chance;
use crate::image::counted;
use crate::{Image, Item, KeyRange, Result};

/// Runs an image, which `open` makes, through what is promised of it, beside a map that does the same.
pub fn image(open: &dyn Fn() -> Result<Box<dyn Image>>) -> Verdict {
    let image = open().map_err(wrong)?;
    expect("what an empty image has applied", &image.applied(), &0)?;
    expect("records of an empty image", &read(&*image, KeyRange::all())?, &Vec::new())?;
    let mut chance = Chance::new(7);
    let mut model = BTreeMap::new();
    for upto in 1..40 {
        let changes = draw_changes(&mut chance);
        image.apply(upto, &mut changes.clone().into_iter().map(Ok)).map_err(wrong)?;
        for (key, value) in changes {
            match value {
                Some(value) => drop(model.insert(key, value)),
                None => drop(model.remove(&key)),
            }
        }
        expect("what is applied", &image.applied(), &upto)?;
        compare(&*image, &model, &mut chance)?;
    }
    stop_in_the_middle(&*image, &model)
}

/// Changes that fail on their way leave what was applied as it was recorded.
fn stop_in_the_middle(image: &dyn Image, model: &BTreeMap<Bytes, Bytes>) -> Verdict {
    let failing = std::iter::once(Err(crate::StoreError::refused("no more")));
    if image.apply(1000, &mut { failing }).is_ok() {
        return Err("the image swallowed an error of its changes".to_owned());
    }
    expect("what is applied after a failure", &image.applied(), &39)?;
    let all = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>();
    expect("all records after a failure", &read(image, KeyRange::all())?, &all)
}

/// Sorted changes: keys that are prefixes of each other, values from none to many pages.
fn draw_changes(chance: &mut Chance) -> Vec<(Bytes, Option<Bytes>)> {
    let mut changes = BTreeMap::new();
    for _ in 0..chance.up_to(30) {
        let length = match chance.up_to(9) {
            0 => 0,
            1 => 3999 + chance.up_to(3),
            2 => chance.up_to(40_000),
            _ => chance.up_to(200),
        };
        let fill = u8::try_from(chance.up_to(255)).unwrap_or(0);
        let value = (!chance.one_in(3)).then(|| Bytes::from(vec![fill; length]));
        changes.insert(draw_key(chance), value);
    }
    changes.into_iter().collect()
}

fn draw_key(chance: &mut Chance) -> Bytes {
    if chance.one_in(40) {
        return Bytes::from(vec![0xff; 512]);
    }
    let letters = [0, b'a', b'b', 0xff];
    (0..chance.up_to(4)).filter_map(|_| letters.get(chance.up_to(3)).copied()).collect()
}

fn compare(image: &dyn Image, model: &BTreeMap<Bytes, Bytes>, chance: &mut Chance) -> Verdict {
    let all = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect::<Vec<_>>();
    expect("all records", &read(image, KeyRange::all())?, &all)?;
    counted(image.scan(KeyRange::all()), image.census())
        .try_for_each(|item| item.map(drop))
        .map_err(wrong)?;
    for _ in 0..5 {
        let key = draw_key(chance);
        let found = image.get(&key).map_err(wrong)?;
        expect("a value", &found.as_ref(), &model.get(&key))?;
        let range = KeyRange { start: key, end: (!chance.one_in(4)).then(|| draw_key(chance)) };
        let within = all.iter().filter(|(key, _)| range.contains(key)).cloned();
        let within = within.collect::<Vec<_>>();
        expect("the records of a range", &read(image, range)?, &within)?;
    }
    Ok(())
}

fn read(image: &dyn Image, range: KeyRange) -> std::result::Result<Vec<Item>, String> {
    image.scan(range).collect::<Result<_>>().map_err(wrong)
}
