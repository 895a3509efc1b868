"""What users have on disk -> checked manifests."""
