"""Two small services, to try the event layer and the HTTP conventions on: one makes, one keeps."""
