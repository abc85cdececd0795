"""The blind pairwise user study (GSB): drawing it, asking raters, keeping their votes, and what the votes say."""
