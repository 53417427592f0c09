//! What the database says, as what a store says.

use buildit::store::StoreError;

/// `SQLITE_CORRUPT` and `SQLITE_NOTADB`.
const DAMAGED: [&str; 2] = ["11", "26"];

/// That a query failed: for `map_err`.
pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(said) if said.code().is_some_and(|code| is_damage(&code)) => {
            StoreError::Corrupt(said.message().to_owned())
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Corrupt(error.to_string()),
        _ => StoreError::backend("sqlite", error),
    }
}

/// Codes have a detail in their upper bits: `267` is a kind of `11`.
fn is_damage(code: &str) -> bool {
    DAMAGED.contains(&code) || code.parse::<u32>().is_ok_and(|code| code & 0xff == 11)
}
