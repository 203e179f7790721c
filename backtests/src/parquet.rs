//! The tables as Parquet files with a stable schema; the only module that knows polars.

use std::fs::File;
use std::path::Path;

use polars::prelude::{Column, DataFrame, ParquetWriter};

use crate::error::BacktestError;
use crate::tables::Tables;

macro_rules! frame {
    ($rows:expr, { $($name:ident : |$row:ident| $value:expr),* $(,)? }) => {{
        let rows = $rows;
        let columns = vec![$(
            Column::new(stringify!($name).into(), rows.iter().map(|$row| $value).collect::<Vec<_>>())
        ),*];
        (rows.len(), columns)
    }};
}

/// Writes `questions`, `predictions`, `scores`, `signals` and `ledger` as `<name>.parquet` into `dir`.
///
/// # Errors
/// `table_write_failed` when a file cannot be created or written.
pub fn write(tables: &Tables, dir: &Path) -> Result<Vec<String>, BacktestError> {
    let all = [
        ("questions", questions(tables)),
        ("predictions", predictions(tables)),
        ("scores", scores(tables)),
        ("signals", signals(tables)),
        ("ledger", ledger(tables)),
    ];
    let mut written = Vec::new();
    for (name, (height, columns)) in all {
        let path = dir.join(format!("{name}.parquet"));
        save(&path, height, columns)?;
        written.push(path.display().to_string());
    }
    Ok(written)
}

fn save(path: &Path, height: usize, columns: Vec<Column>) -> Result<(), BacktestError> {
    let failed = |detail: String| BacktestError::Write { path: path.display().to_string(), detail };
    let mut frame = DataFrame::new(height, columns).map_err(|e| failed(e.to_string()))?;
    let file = File::create(path).map_err(|e| failed(e.to_string()))?;
    ParquetWriter::new(file).finish(&mut frame).map_err(|e| failed(e.to_string()))?;
    Ok(())
}

fn questions(tables: &Tables) -> (usize, Vec<Column>) {
    frame!(&tables.questions, {
        question: |r| r.question.clone(),
        topic: |r| r.topic.clone(),
        market: |r| r.market.clone(),
        opens_at: |r| r.opens_at,
        resolves_at: |r| r.resolves_at,
        strike: |r| r.strike.clone(),
        reference_ppm: |r| r.reference_ppm,
        market_mid_ppm: |r| r.market_mid_ppm,
        outcome: |r| r.outcome.clone(),
    })
}

fn predictions(tables: &Tables) -> (usize, Vec<Column>) {
    frame!(&tables.predictions, {
        question: |r| r.question.clone(),
        miner: |r| r.miner.clone(),
        bundle: |r| r.bundle.clone(),
        p_ppm: |r| r.p_ppm,
        committed_at: |r| r.committed_at,
        revealed_at: |r| r.revealed_at,
    })
}

fn scores(tables: &Tables) -> (usize, Vec<Column>) {
    frame!(&tables.scores, {
        question: |r| r.question.clone(),
        topic: |r| r.topic.clone(),
        miner: |r| r.miner.clone(),
        status: |r| r.status,
        p_ppm: |r| r.p_ppm,
        score_q32: |r| r.score_q32,
        reference_q32: |r| r.reference_q32,
        up: |r| r.up,
        delta_micros: |r| r.delta_micros,
        stake_after_micros: |r| r.stake_after_micros,
    })
}

fn signals(tables: &Tables) -> (usize, Vec<Column>) {
    frame!(&tables.signals, {
        signal: |r| r.signal.clone(),
        question: |r| r.question.clone(),
        topic: |r| r.topic.clone(),
        topic_seq: |r| r.topic_seq,
        issued_at: |r| r.issued_at,
        slot: |r| r.slot,
        p_ppm: |r| r.p_ppm,
        reference_ppm: |r| r.reference_ppm,
        dispersion_ppm: |r| r.dispersion_ppm,
        market_mid_ppm: |r| r.market_mid_ppm,
        contributors: |r| r.contributors,
        up: |r| r.up,
    })
}

fn ledger(tables: &Tables) -> (usize, Vec<Column>) {
    frame!(&tables.ledger, {
        seq: |r| r.seq,
        at: |r| r.at,
        txn: |r| r.txn.clone(),
        kind: |r| r.kind.clone(),
        account: |r| r.account.clone(),
        asset: |r| r.asset,
        amount_micros: |r| r.amount_micros,
    })
}
