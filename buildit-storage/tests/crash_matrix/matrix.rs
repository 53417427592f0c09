//! The parent: enumerates the crash points, harms engines there in world after world, and prints what came of it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use buildit::fault::CrashPoint;

use super::child::{self, Harm, LEASE};
use super::lane::Lane;
use super::pipelines::{self, Sample};
use super::stores::Keep;
use super::world::{Harmed, World};

/// Where the jobs run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Target {
    Local,
    Docker,
}

impl Target {
    /// Whether jobs there come to this point: hosts have no services.
    fn meets(self, point: CrashPoint) -> bool {
        self == Self::Docker || point != CrashPoint::ServicesReady
    }
}

/// One row of the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) target: Target,
    pub(crate) keep: Keep,
    pub(crate) harm: Harm,
}

/// How long what an engine needs is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// Its lease still holds then.
    Short,
    /// Its lease has ended.
    Long,
}

impl Outage {
    pub(crate) fn time(self) -> Duration {
        match self {
            Self::Short => LEASE / 4,
            Self::Long => LEASE + LEASE / 2,
        }
    }
}

/// Where one engine is harmed: at a point of a pipeline, when it is reached for the how-manieth time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub(crate) sample: Sample,
    pub(crate) point: CrashPoint,
    pub(crate) nth: usize,
    pub(crate) outage: Outage,
}

/// After how many worlds it is told how far it is, so that a slow machine is not taken for one that hangs.
const TOLD: usize = 25;

/// What happened in each pipeline when nobody disturbed it.
type Undisturbed = BTreeMap<&'static str, Vec<String>>;

/// How many worlds there are at once: on a server, and for an engine that stands still, most of the time is a wait for the
/// end of a lease.
fn at_once(place: Place) -> usize {
    match (place.target, place.keep, place.harm) {
        (Target::Docker, ..) => 2,
        (_, Keep::Journal | Keep::Sqlite, Harm::Kill) => 2,
        #[cfg(feature = "postgres")]
        // Each has a server of its own.
        (_, _, Harm::Server) => 4,
        _ => 6,
    }
}

/// Does this harm at every crash point of every pipeline, and prints the row that the README's table shows.
pub(crate) fn run(target: Target, keep: Keep, harm: Harm) {
    let place = Place { target, keep, harm };
    let lanes: Vec<Lane> = (0..at_once(place)).map(|_| Lane::new(harm)).collect();
    let mut undisturbed = Undisturbed::new();
    let mut spots = Vec::new();
    for sample in pipelines::all(target) {
        let (happened, points) = record(place, &lanes[0], &sample);
        undisturbed.insert(sample.name, happened);
        for (point, times) in points {
            // In how many pieces a log comes is up to the backend: no more than one for each job is certain.
            let certain = if point == CrashPoint::LogStored { times.min(sample.effects.len()) } else { times };
            for nth in 1..=certain {
                let outage = if spots.len() % 2 == 0 { Outage::Short } else { Outage::Long };
                spots.push(Spot { sample, point, nth, outage });
            }
        }
    }
    let (next, done, begun) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Instant::now());
    std::thread::scope(|scope| {
        for lane in &lanes {
            let (next, done, spots, undisturbed) = (&next, &done, &spots, &undisturbed);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(spot) = spots.get(at) else { break };
                    if at % TOLD == 0 {
                        eprintln!("{place:?}: {at} of {} after {:?}", spots.len(), begun.elapsed());
                    }
                    let harmed = harm_at(place, lane, spot, &undisturbed[spot.sample.name]);
                    done.lock()
                        .expect("nothing panics under this lock")
                        .extend(harmed.map(|harmed| (spot.point, harmed)));
                }
            });
        }
    });
    print(place, &done.into_inner().expect("nothing panics under this lock"));
}

/// Runs the pipeline undisturbed and tells what happened, and how often each crash point was reached.
fn record(place: Place, lane: &Lane, sample: &Sample) -> (Vec<String>, Vec<(CrashPoint, usize)>) {
    let world = World::new(place, lane);
    let what = format!("{} undisturbed", sample.name);
    let status = world.engine(sample, &what);
    assert!(status.success(), "{what}: {status}");
    (world.check(sample, &what), child::recorded(world.folder()))
}

/// Harms an engine at one spot, has the run ended, checks the world, and tells how long that took from the harm on, and how
/// many other engines; `None` when the run ended before the point was reached so often.
fn harm_at(place: Place, lane: &Lane, spot: &Spot, undisturbed: &[String]) -> Option<Harmed> {
    let world = World::new(place, lane);
    let what = format!("{} {:?} at {:?} #{}, {:?}", spot.sample.name, place.harm, spot.point, spot.nth, spot.outage);
    let harmed = world.harm(spot, &what);
    let happened = world.check(&spot.sample, &what);
    assert_eq!(happened, undisturbed, "{what}: the same events");
    assert!(harmed.is_some() || spot.point == CrashPoint::LogStored, "{what}: the point was not reached");
    harmed
}

/// Prints the row, and sees to it that every point was hit.
fn print(place: Place, done: &[(CrashPoint, Harmed)]) {
    let Place { target, keep, harm } = place;
    let mut hit: BTreeMap<CrashPoint, usize> = BTreeMap::new();
    done.iter().for_each(|(point, _)| *hit.entry(*point).or_default() += 1);
    let mut took: Vec<Duration> = done.iter().map(|(_, harmed)| harmed.took).collect();
    took.sort();
    let went_on = done.iter().filter(|(_, harmed)| harmed.restarts == 0).count();
    let (jobs, kept) = (format!("{target:?}").to_lowercase(), format!("{keep:?}"));
    let (median, most) = (took[took.len() / 2].as_millis(), took[took.len() - 1].as_millis());
    println!(
        "crash matrix: | {jobs} | {kept} | {harm:?} | {} | 0 | 0 | same | whole | nothing | {median} ms ({most} ms) |",
        done.len()
    );
    println!("{went_on} of {} engines went on by themselves; hits {hit:?}", done.len());
    for point in CrashPoint::ALL.into_iter().filter(|point| target.meets(*point)) {
        assert!(hit.contains_key(&point), "{point:?} was never hit");
    }
}
