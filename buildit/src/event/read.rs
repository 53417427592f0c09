//! Reading an event. What is derived for a flattened body keeps all of an event aside twice before it makes one, which
//! is most of the time that it takes to take up a run; this passes the body on as it comes.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Event, EventBody};

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Whole)
    }
}

struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Event, A::Error> {
        let mut head = Head::default();
        let body = EventBody::deserialize(MapAccessDeserializer::new(Body { map, head: &mut head }))?;
        let seq = head.seq.ok_or_else(|| A::Error::missing_field("seq"))?;
        let time = head.time.ok_or_else(|| A::Error::missing_field("time"))?;
        Ok(Event { seq, time, body })
    }
}

/// What stands beside the body.
#[derive(Default)]
struct Head {
    seq: Option<u64>,
    time: Option<Timestamp>,
}

/// The entries of an event but for its head, which is noted in passing.
struct Body<'a, A> {
    map: A,
    head: &'a mut Head,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Body<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(Key(key)) = self.map.next_key()? {
            match &*key {
                "seq" => self.head.seq = Some(self.map.next_value()?),
                "time" => self.head.time = Some(self.map.next_value()?),
                _ => {
                    return match key {
                        Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
                        Cow::Owned(key) => seed.deserialize(StrDeserializer::new(&key)),
                    }
                    .map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A key, which is copied only where the text cannot lend it.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_identifier(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RunStatus;

    #[test]
    fn an_event_is_read_whatever_the_order_of_its_parts() {
        let time = Timestamp::UNIX_EPOCH;
        let event = Event { seq: 7, time, body: EventBody::RunFinished { status: RunStatus::Failed } };
        assert_eq!(serde_json::from_str::<Event>(&serde_json::to_string(&event).unwrap()).unwrap(), event);
        let turned = r#"{"status":"failed","other":[1],"time":"1970-01-01T00:00:00Z","type":"run_finished","seq":7}"#;
        assert_eq!(serde_json::from_str::<Event>(turned).unwrap(), event);
        assert_eq!(serde_json::from_value::<Event>(serde_json::from_str(turned).unwrap()).unwrap(), event);
        assert_eq!(serde_json::from_reader::<_, Event>(turned.as_bytes()).unwrap(), event);
    }

    #[test]
    fn what_is_missing_is_told() {
        for (text, missing) in [
            (r#"{"time":"1970-01-01T00:00:00Z","type":"run_started"}"#, "`seq`"),
            (r#"{"seq":1,"type":"run_started"}"#, "`time`"),
            (r#"{"seq":1,"time":"1970-01-01T00:00:00Z"}"#, "`type`"),
        ] {
            let error = serde_json::from_str::<Event>(text).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
    }
}
