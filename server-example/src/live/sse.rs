//! The events of a run as server-sent events, for readers that cannot do more: each has its number as its id, so that a
//! reader which comes again with `Last-Event-ID` misses nothing.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use buildit::event as run;
use buildit::store::StoreError;
use futures_util::stream::{BoxStream, Stream, StreamExt};

use super::Reader;
use crate::state::ServerState;

/// How often something is said when there is nothing to say.
const BEAT: Duration = Duration::from_secs(15);

/// These events of a run, as long as the reader may look.
pub(crate) fn serve(
    state: &ServerState,
    events: BoxStream<'static, Result<run::Event, StoreError>>,
    reader: Reader,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + Send + use<>> {
    let run = reader.run;
    let (state, stopping) = (state.clone(), state.stopping().clone());
    let is_over = async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = reader.until_out(state) => {}
        }
    };
    let events = events.take_until(is_over).map(move |event| match event {
        Ok(event) => {
            let said = Event::default().id(event.seq.to_string()).event("run").json_data(&event);
            said.inspect_err(|error| tracing::error!(%run, %error, "an event cannot be told")).ok()
        }
        Err(error) => {
            tracing::warn!(%run, error = &error as &dyn std::error::Error, "a live reader is cut off");
            None
        }
    });
    let events = events.take_while(|event| std::future::ready(event.is_some())).filter_map(std::future::ready);
    Sse::new(events.map(Ok)).keep_alive(KeepAlive::new().interval(BEAT))
}
