//! The API's way to the intake: a bounded queue to the kernel. Never answers before the group commit.

use std::future::Future;
use std::pin::Pin;

use api::{Desk, DeskError, Receipt};
use schemas::Intake;
use tokio::sync::{mpsc::error::TrySendError, oneshot};

use crate::kernel::{Cmd, KernelHandle};

/// The desk over a kernel in this process.
pub struct KernelDesk(pub KernelHandle);

impl Desk for KernelDesk {
    fn submit(&self, intake: Intake) -> Pin<Box<dyn Future<Output = Result<Receipt, DeskError>> + Send>> {
        let (reply, receipt) = oneshot::channel();
        let sent = self.0.try_send(Cmd::Intake { body: Box::new(intake), reply: Some(reply) });
        Box::pin(async move {
            match sent {
                Ok(()) => receipt.await.map_err(|_| DeskError::Closed),
                Err(TrySendError::Full(_)) => Err(DeskError::Overloaded),
                Err(TrySendError::Closed(_)) => Err(DeskError::Closed),
            }
        })
    }
}
