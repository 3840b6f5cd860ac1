//! Sessions that have been ended, in memory.

use std::{
    collections::HashMap,
    fmt,
    hash::BuildHasher,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use foldhash::fast::RandomState;

use crate::{
    claims::Claims,
    clock::{Clock, SystemClock},
    logout::{LoggedOut, Logout},
    session::{SessionCheck, SessionState},
};

/// Entries unless [`RevokedSessions::at_most`] says otherwise.
const MOST_ENTRIES: usize = 1_000_000;

/// Fewer entries than this are not searched for ones to forget.
const FEW_ENTRIES: usize = 1024;

/// So that nobody waits for long while a shard is searched for entries to forget.
const SHARDS: usize = 32;

/// Bits of the filter for each entry there may be: one in eight live sessions is looked up in vain when all are there.
const FILTER_BITS: usize = 8;

/// Room for more entries makes the filter no larger: it is quick as long as it fits into the processor's cache.
const MOST_FILTERED: usize = 1 << 20;

/// The sessions that have been ended while their tokens live on, in memory.
///
/// Entries leave when the last token they are about has expired. There is room for a million; where it does not
/// suffice, ending another session is an error, and none that counts is ever forgotten. One takes about 50 bytes.
///
/// A clone is another handle to the same sessions: one goes to the
/// [layer](crate::JwtAuthLayer::sessions), another to whatever learns of ended sessions. Every process has its own, and
/// begins with none: after a restart, or beside other replicas, entries must come from somewhere else, such as a
/// database, by [`end_session_at`](Self::end_session_at) and [`end_sessions_of`](Self::end_sessions_of).
///
/// ```
/// use std::time::Duration;
/// use better_auth_jwt::RevokedSessions;
///
/// // Tokens live for 15 minutes, and the verifier's leeway is half a minute.
/// let revoked = RevokedSessions::new(Duration::from_secs(15 * 60 + 30));
/// revoked.end_session("FwSmAw7Yk0Xvp3bZ")?;
/// revoked.end_session("FwSmAw7Yk0Xvp3bZ")?; // changes nothing
/// assert_eq!(revoked.len(), 1);
/// # Ok::<(), better_auth_jwt::RevocationsFull>(())
/// ```
#[derive(Clone)]
pub struct RevokedSessions {
    keep: u64,
    most: usize,
    clock: Arc<dyn Clock>,
    lists: Arc<Lists>,
}

#[derive(Default)]
struct Lists {
    /// By session id: when it was ended.
    sessions: List,
    /// By user: until when the tokens were issued that are refused.
    users: List,
    changes: Mutex<Changes>,
}

/// What is known to whoever changes the lists, one at a time.
#[derive(Default)]
struct Changes {
    /// Having this many entries is a reason to look for some to forget.
    sweep_at: usize,
    /// The earliest time of an entry: none is older than that.
    oldest: u64,
}

impl RevokedSessions {
    /// No sessions. Entries are kept for this long: at least the longest life of a token and the verifier's leeway.
    ///
    /// Better Auth's tokens live for 15 minutes unless `expirationTime` says otherwise. Where its cookie cache lets an
    /// ended session fetch more of them, that time counts too.
    pub fn new(keep: Duration) -> Self {
        Self {
            keep: keep.as_secs().saturating_add(u64::from(keep.subsec_nanos() > 0)),
            most: MOST_ENTRIES,
            clock: Arc::new(SystemClock),
            lists: Arc::default(),
        }
    }

    /// Room for this many sessions and users together, a million by default. To be said before there are clones, which
    /// each go by their own number.
    #[must_use]
    pub fn at_most(mut self, entries: usize) -> Self {
        self.most = entries;
        self
    }

    /// Another clock than the system's, also to be set before there are clones: the one of the verifier.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Ends a session now: its tokens are refused, whenever they were issued.
    ///
    /// # Errors
    ///
    /// There is no room left, so the session goes on.
    pub fn end_session(&self, session: &str) -> Result<(), RevocationsFull> {
        self.end_session_at(session, self.clock.unix_time())
    }

    /// The same for a session that was ended at another time, in seconds since 1970: to load what was kept elsewhere.
    ///
    /// # Errors
    ///
    /// There is no room left, so the session goes on.
    pub fn end_session_at(&self, session: &str, ended_at: u64) -> Result<(), RevocationsFull> {
        self.add(&self.lists.sessions, session, ended_at)
    }

    /// Ends all sessions of the user with this `sub` that there were at a time, in seconds since 1970: tokens issued
    /// until then are refused, and those that don't say when (`iat`).
    ///
    /// A token of the same second is refused too, so whoever signs in at once may have to fetch a token twice.
    ///
    /// # Errors
    ///
    /// There is no room left, so the sessions go on.
    pub fn end_sessions_of(&self, user: &str, issued_until: u64) -> Result<(), RevocationsFull> {
        self.add(&self.lists.users, user, issued_until)
    }

    /// Does what a logout token says, as of when it was issued. The same token again changes nothing.
    ///
    /// # Errors
    ///
    /// There is no room left, so what it is about goes on.
    pub fn record(&self, logout: &Logout) -> Result<(), RevocationsFull> {
        match logout.ends() {
            LoggedOut::Session(session) => self.end_session_at(session, logout.issued_at()),
            LoggedOut::User(user) => self.end_sessions_of(user, logout.issued_at()),
        }
    }

    /// How many entries there are, of sessions and of users. Some may be about to leave.
    pub fn len(&self) -> usize {
        self.lists.sessions.len() + self.lists.users.len()
    }

    /// Whether no session has been ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn add(&self, list: &List, name: &str, time: u64) -> Result<(), RevocationsFull> {
        let now = self.clock.unix_time();
        if !self.is_kept(time, now) {
            return Ok(());
        }
        let mut changes = self.lists.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if list.move_on(name, time) {
            return Ok(());
        }
        if self.len() >= changes.sweep_at.min(self.most) && !self.is_kept(changes.oldest, now) {
            self.sweep(&mut changes, now);
        }
        if self.len() >= self.most {
            return Err(RevocationsFull(()));
        }
        changes.oldest = changes.oldest.min(time);
        list.insert(name, time, self.most);
        Ok(())
    }

    /// Forgets what no longer matters. The next time is when there are twice as many, so that an entry costs little
    /// more than being looked at twice.
    fn sweep(&self, changes: &mut Changes, now: u64) {
        let is_kept = |time| self.is_kept(time, now);
        changes.oldest = self.lists.sessions.retain(is_kept).min(self.lists.users.retain(is_kept));
        changes.sweep_at = (2 * self.len()).max(FEW_ENTRIES);
    }

    /// Whether an entry of this time still counts.
    fn is_kept(&self, time: u64, now: u64) -> bool {
        now < time.saturating_add(self.keep)
    }

    fn is_ended(&self, claims: &Claims) -> bool {
        let Lists { sessions, users, .. } = &*self.lists;
        // The claims are rarely in the processor's cache: as long as nothing has ended, they stay where they are.
        let session = if sessions.is_empty() { None } else { claims.session_id() };
        if session.is_some_and(|session| self.find(sessions, session).is_some()) {
            return true;
        }
        let until = if users.is_empty() { None } else { self.find(users, claims.sub()) };
        until.is_some_and(|until| claims.issued_at().is_none_or(|issued| issued <= until))
    }

    fn find(&self, list: &List, name: &str) -> Option<u64> {
        // Most have no entry, and need not know the time.
        list.find(name).filter(|time| self.is_kept(*time, self.clock.unix_time()))
    }
}

impl SessionCheck for RevokedSessions {
    fn look_up(&self, claims: &Claims) -> SessionState {
        if self.is_ended(claims) { SessionState::Ended } else { SessionState::Live }
    }
}

impl fmt::Debug for RevokedSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevokedSessions").field("len", &self.len()).field("most", &self.most).finish_non_exhaustive()
    }
}

/// There is no room for another ended session. None was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationsFull(());

impl fmt::Display for RevocationsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room for another ended session; see RevokedSessions::at_most")
    }
}

impl std::error::Error for RevocationsFull {}

/// Names and times. Changed by one thread at a time.
#[derive(Default)]
struct List {
    filter: OnceLock<Filter>,
    shards: [RwLock<Times>; SHARDS],
    len: AtomicUsize,
    hashers: [RandomState; 2],
}

type Times = HashMap<Fingerprint, u64, RandomState>;

/// What stands for a name: two seeded hashes of it, which halves the room of an entry. A live session would be taken for
/// an ended one if it had both of them in common with it: 128 bits, chosen at random.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Fingerprint {
    /// Chooses the shard, and the bit of the filter.
    first: u64,
    second: u64,
}

impl List {
    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn find(&self, name: &str) -> Option<u64> {
        let [first, second] = &self.hashers;
        let first = first.hash_one(name);
        if !self.filter.get()?.may_have(first) {
            return None;
        }
        let fingerprint = Fingerprint { first, second: second.hash_one(name) };
        read(self.shard(fingerprint)?).get(&fingerprint).copied()
    }

    /// Moves an entry to a later time. False if there is none.
    fn move_on(&self, name: &str, time: u64) -> bool {
        let fingerprint = self.fingerprint(name);
        let Some(shard) = self.shard(fingerprint) else { return false };
        let mut times = write(shard);
        let Some(known) = times.get_mut(&fingerprint) else { return false };
        *known = time.max(*known);
        true
    }

    /// Adds an entry to a list of at most so many.
    fn insert(&self, name: &str, time: u64, most: usize) {
        let fingerprint = self.fingerprint(name);
        let Some(shard) = self.shard(fingerprint) else { return };
        write(shard).insert(fingerprint, time);
        self.filter.get_or_init(|| Filter::new(most)).add(fingerprint.first);
        self.len.fetch_add(1, Ordering::Release);
    }

    /// Removes the entries of other times; returns the earliest that is left.
    fn retain(&self, is_kept: impl Fn(u64) -> bool) -> u64 {
        let Some(filter) = self.filter.get() else { return u64::MAX };
        let left = filter.without_any();
        let (mut len, mut oldest) = (0, u64::MAX);
        for shard in &self.shards {
            let mut times = write(shard);
            times.retain(|_, time| is_kept(*time));
            let fitting = 2 * times.len();
            times.shrink_to(fitting);
            len += times.len();
            for (fingerprint, time) in &*times {
                left.add(fingerprint.first);
                oldest = oldest.min(*time);
            }
        }
        filter.become_like(left);
        self.len.store(len, Ordering::Release);
        oldest
    }

    fn fingerprint(&self, name: &str) -> Fingerprint {
        let [first, second] = &self.hashers;
        Fingerprint { first: first.hash_one(name), second: second.hash_one(name) }
    }

    fn shard(&self, fingerprint: Fingerprint) -> Option<&RwLock<Times>> {
        self.shards.get(fingerprint.first as usize % SHARDS)
    }
}

/// A bit for the hash of every entry, which those of others may share: who has none is asked about no further.
///
/// A request only reads it. A lock, even one for reading, is written to, and threads would take its cache line from each
/// other on every request.
struct Filter {
    words: Box<[AtomicU64]>,
}

impl Filter {
    fn new(entries: usize) -> Self {
        let bits = (entries.min(MOST_FILTERED) * FILTER_BITS).next_power_of_two();
        Self::of_words(bits.div_ceil(64))
    }

    fn of_words(words: usize) -> Self {
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    fn without_any(&self) -> Self {
        Self::of_words(self.words.len())
    }

    fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        word.is_some_and(|word| word.load(Ordering::Acquire) & bit != 0)
    }

    fn add(&self, hash: u64) {
        let (word, bit) = self.place(hash);
        if let Some(word) = word {
            word.fetch_or(bit, Ordering::Release);
        }
    }

    /// Word by word, so that what both have is there all the time.
    fn become_like(&self, other: Self) {
        for (word, new) in self.words.iter().zip(other.words) {
            word.store(new.into_inner(), Ordering::Release);
        }
    }

    /// By the upper half, since the lower one has chosen the shard.
    fn place(&self, hash: u64) -> (Option<&AtomicU64>, u64) {
        let upper = hash >> 32;
        (self.words.get((upper >> 6) as usize % self.words.len()), 1 << (upper & 63))
    }
}

fn read(shard: &RwLock<Times>) -> RwLockReadGuard<'_, Times> {
    // An entry is only ever written as a whole; a panic elsewhere leaves the map sound.
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(shard: &RwLock<Times>) -> RwLockWriteGuard<'_, Times> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}
