//! Search: what goes into the index, and what is made of the blocks that it names.

use async_trait::async_trait;
use buildit::id::JobId;
use buildit::store::{LogChunk, LogHit, LogHits, LogQuery, LogStore, LogTerms, SearchPlace, StoreError};

/// How much text is in a block of the index. A smaller one makes the index larger, a larger one is longer looked through.
const BLOCK: usize = 64 * 1024;

/// How much of a block is read at once: less than there is in a frame of an archived log, so that it is one frame.
const LOOK: usize = BLOCK - 16 * 1024;

/// How many blocks are added in one transaction: few, so that a run which is under way does not wait for long.
const BATCH: usize = 16;

/// How many blocks the index is asked for at once.
const CANDIDATES: usize = 64;

/// How many blocks are looked through for one page.
const MOST: usize = 256;

/// Lines that follow each other, and what is in them.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) first_line: u64,
    pub(crate) last_line: u64,
    pub(crate) terms: LogTerms,
}

/// The next blocks of a log, behind the line `after`; none at its end.
pub(crate) async fn blocks(store: &dyn LogStore, job: &JobId, after: u64) -> Result<Vec<Block>, StoreError> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut bytes = 0;
    let mut read = after;
    loop {
        let page = store.read_log(job, read, BATCH * BLOCK).await?;
        if page.chunks.is_empty() {
            return Ok(blocks);
        }
        for part in page.chunks.into_iter().flat_map(|chunk| chunk.parts(BLOCK)) {
            if blocks.is_empty() || bytes + part.text.len() > BLOCK {
                if blocks.len() == BATCH {
                    return Ok(blocks);
                }
                bytes = 0;
                let (first_line, last_line) = (part.first_line, part.last_line());
                blocks.push(Block { first_line, last_line, terms: LogTerms::default() });
            }
            bytes += part.text.len();
            if let Some(block) = blocks.last_mut() {
                block.terms.add(&part.text);
                (block.last_line, read) = (part.last_line(), part.last_line());
            }
        }
    }
}

/// A block that may have a match.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) block: u64,
    pub(crate) job: JobId,
    pub(crate) first_line: u64,
    pub(crate) last_line: u64,
}

/// An index of blocks.
#[async_trait]
pub(crate) trait Index: LogStore {
    /// Blocks with all terms of the query, of its run if it has one, the one that was added last first, from number
    /// `upto` on.
    async fn candidates(&self, query: &LogQuery, upto: u64, limit: usize) -> Result<Vec<Candidate>, StoreError>;
}

/// A page of the lines that match.
pub(crate) async fn search(
    store: &dyn Index,
    query: &LogQuery,
    before: Option<SearchPlace>,
    limit: usize,
) -> Result<LogHits, StoreError> {
    let limit = limit.max(1);
    let before = before.unwrap_or(SearchPlace::START);
    let mut page = LogHits::default();
    let mut looked = 0;
    let mut upto = before.block;
    loop {
        let candidates = store.candidates(query, upto, CANDIDATES).await?;
        let is_last = candidates.len() < CANDIDATES;
        for candidate in candidates {
            let place = before.within(candidate.block);
            if looked == MOST {
                page.next = Some(place);
                return Ok(page);
            }
            looked += 1;
            let mut hits = look(store, query, &candidate).await?;
            hits.retain(|hit| hit.line.line < place.line);
            if page.fill(place, hits, limit) {
                return Ok(page);
            }
            upto = candidate.block.saturating_sub(1);
        }
        if is_last {
            return Ok(page);
        }
    }
}

/// The lines of a block that match. One that is gone meanwhile, or damaged, has none.
async fn look(store: &dyn Index, query: &LogQuery, block: &Candidate) -> Result<Vec<LogHit>, StoreError> {
    let mut hits = Vec::new();
    let mut after = block.first_line.saturating_sub(1);
    while after < block.last_line {
        let page = match store.read_log(&block.job, after, LOOK).await {
            Err(StoreError::LogRemoved(_)) => break,
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::warn!(job = %block.job, %error, "a log cannot be looked through");
                break;
            }
            page => page?,
        };
        let Some(last) = page.chunks.last() else { break };
        after = last.last_line();
        hits.extend(page.chunks.iter().flat_map(|chunk: &LogChunk| query.matches(&block.job, chunk)));
    }
    hits.retain(|hit| (block.first_line..=block.last_line).contains(&hit.line.line));
    Ok(hits)
}
