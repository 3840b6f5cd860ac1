use std::fmt::{self, Write};

use serde::ser::{SerializeMap, Serializer};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::REQUEST_ID;
use crate::timestamp;

/// How an event becomes a line: when, how grave, from where, what, and during which request.
///
/// By hand, for `tracing_subscriber`'s own lines take three times as long, and nobody has that many of another kind.
pub(super) enum Line {
    Text,
    Json,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        match self {
            Self::Text => text(&mut line, event)?,
            Self::Json => line.write_str(&json(event).map_err(|_| fmt::Error)?)?,
        }
        line.write_char('\n')
    }
}

fn now() -> String {
    timestamp::now().format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}

fn text(line: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result {
    line.write_str(&now())?;
    line.write_str(match (*event.metadata().level(), line.has_ansi_escapes()) {
        (Level::ERROR, true) => " \x1b[31mERROR\x1b[0m ",
        (Level::WARN, true) => " \x1b[33m WARN\x1b[0m ",
        (Level::ERROR, false) => " ERROR ",
        (Level::WARN, false) => "  WARN ",
        (Level::INFO, _) => "  INFO ",
        (Level::DEBUG, _) => " DEBUG ",
        (Level::TRACE, _) => " TRACE ",
    })?;
    line.write_str(event.metadata().target())?;
    line.write_char(':')?;
    let mut fields = Text { line, result: Ok(()) };
    event.record(&mut fields);
    fields.result?;
    REQUEST_ID.try_with(|id| write!(line, " request_id={id}")).unwrap_or(Ok(()))
}

/// Writes each field as ` name=value`, and the message as it is.
struct Text<'a, 'b> {
    line: &'a mut Writer<'b>,
    result: fmt::Result,
}

impl Text<'_, '_> {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.result = self.result.and_then(|()| {
            self.line.write_char(' ')?;
            if field.name() != "message" {
                self.line.write_str(field.name())?;
                self.line.write_char('=')?;
            }
            OneLine(self.line).write_fmt(value)
        });
    }
}

impl Visit for Text<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let is_word = value.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        if is_word && !value.is_empty() {
            self.write(field, format_args!("{value}"));
        } else {
            self.write(field, format_args!("{value:?}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }
}

/// Whatever is written to it, no new line begins, and no terminal obeys.
struct OneLine<'a, 'b>(&'a mut Writer<'b>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|letter| match letter.is_control() {
            true => write!(self.0, "{}", letter.escape_default()),
            false => self.0.write_char(letter),
        })
    }
}

fn json(event: &Event<'_>) -> serde_json::Result<String> {
    let mut line = Vec::with_capacity(256);
    let mut json = serde_json::Serializer::new(&mut line);
    let mut members = json.serialize_map(None)?;
    members.serialize_entry("timestamp", &now())?;
    members.serialize_entry("level", event.metadata().level().as_str())?;
    let mut fields = Json { members, result: Ok(()) };
    event.record(&mut fields);
    let Json { mut members, result } = fields;
    result?;
    members.serialize_entry("target", event.metadata().target())?;
    REQUEST_ID.try_with(|id| members.serialize_entry("request_id", id.as_str())).unwrap_or(Ok(()))?;
    members.end()?;
    Ok(String::from_utf8(line).expect("JSON is UTF-8"))
}

/// Writes each field as a member.
struct Json<M: SerializeMap> {
    members: M,
    result: Result<(), M::Error>,
}

impl<M: SerializeMap> Json<M> {
    fn write(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        if self.result.is_ok() {
            self.result = self.members.serialize_entry(field.name(), value);
        }
    }
}

impl<M: SerializeMap> Visit for Json<M> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};
    use tracing::{info, subscriber, warn};

    use super::*;
    use crate::observe::RequestId;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(line: Line, events: fn()) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).event_format(line).with_writer(move || writer.clone());
        subscriber::with_default(log.finish(), events);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn during_a_request(events: fn()) {
        REQUEST_ID.sync_scope(RequestId::test("mine"), events);
    }

    #[test]
    fn a_line_says_when_how_grave_from_where_and_what() {
        let lines = lines(Line::Text, || info!(name = "ada", route = "/a b", count = 3, error = %"away", "done"));
        let (when, what) = lines[0].split_once(' ').unwrap();
        assert_eq!(when.len(), 27, "{when}");
        assert_eq!(what, r#" INFO tasks_api::log::line::tests: done name=ada route="/a b" count=3 error=away"#);
    }

    #[test]
    fn whatever_is_written_during_a_request_has_its_id() {
        let text = lines(Line::Text, || during_a_request(|| warn!("the database is away")));
        assert!(text[0].ends_with("the database is away request_id=mine"), "{text:?}");
        let json = lines(Line::Json, || during_a_request(|| warn!(status = 503, "the database is away")));
        let json: Value = serde_json::from_str(&json[0]).unwrap();
        assert_eq!(json["message"], "the database is away");
        assert_eq!(
            (&json["status"], &json["request_id"], &json["level"]),
            (&json!(503), &json!("mine"), &json!("WARN"))
        );
    }

    #[test]
    fn what_others_send_begins_no_line_and_commands_no_terminal() {
        let lines = lines(Line::Text, || info!(error = %"bad\n2026 INFO forged \u{1b}[2Jä", "no"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with(r"no error=bad\n2026 INFO forged \u{1b}[2Jä"), "{lines:?}");
    }
}
