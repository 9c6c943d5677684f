//! Listening on an address, and answering until told to stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::sync::oneshot;

use crate::ServeError;

/// How often the server looks whether it should stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long it waits for open connections then.
const FAREWELL: Duration = Duration::from_secs(2);

/// Listens on an address, and tells the one it got: port 0 takes any free one.
///
/// # Errors
/// [`ServeError::Bind`].
pub(crate) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let got = listener.local_addr().map_err(failed)?;
    Ok((listener, got))
}

/// Answers requests until `stop` is set.
///
/// # Errors
/// [`ServeError::Run`] when the system refuses to go on.
pub(crate) fn answer_until(
    stop: &AtomicBool,
    listener: TcpListener,
    router: Router,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(ServeError::Run)?;
    let result = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (farewell, told) = oneshot::channel::<()>();
        let server = axum::serve(listener, router).with_graceful_shutdown(async {
            let _ = told.await;
        });
        let mut server = tokio::spawn(async move { server.await });
        while !stop.load(Ordering::SeqCst) && !server.is_finished() {
            tokio::time::sleep(LOOK).await;
        }
        let _ = farewell.send(());
        match tokio::time::timeout(FAREWELL, &mut server).await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(std::io::Error::other(panic)),
            // A browser keeps a connection open: it will find out.
            Err(_) => Ok(()),
        }
    });
    runtime.shutdown_timeout(FAREWELL);
    result.map_err(ServeError::Run)
}
