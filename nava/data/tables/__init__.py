"""Work over the tables of a corpus on engines of a site: joins and shuffles."""
