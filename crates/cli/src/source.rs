//! Records that were written before.

use std::fs;
use std::path::Path;

use percid_benches::record::Record;
use serde_json::Value;

use crate::error::Error;

/// Reads a record of `percid bench --json`.
///
/// # Errors
///
/// If there is none, or one of another version.
pub(crate) fn read(path: &Path) -> Result<Record, Error> {
    let text = fs::read_to_string(path).map_err(|why| Error::Source {
        path: path.to_owned(),
        why,
    })?;
    let no_record = |why: String| Error::NoRecord {
        path: path.to_owned(),
        why,
    };
    let value: Value = serde_json::from_str(&text).map_err(|why| no_record(why.to_string()))?;
    let version = value.get("schema_version").and_then(Value::as_u64);
    match version {
        None => return Err(no_record("it has no schema_version".to_owned())),
        Some(version) if version != u64::from(Record::SCHEMA_VERSION) => {
            return Err(Error::OtherVersion {
                path: path.to_owned(),
                version,
                own: Record::SCHEMA_VERSION,
            });
        }
        Some(_) => {}
    }
    let record: Record = serde_json::from_value(value).map_err(|why| no_record(why.to_string()))?;
    let sound = record.cases.iter().all(|figure| {
        let [low, high] = figure.middle();
        let in_order = [0.0, figure.min, low, figure.median, high, figure.max];
        in_order.is_sorted()
    });
    match sound {
        true => Ok(record),
        false => Err(no_record("its figures are in no order".to_owned())),
    }
}
