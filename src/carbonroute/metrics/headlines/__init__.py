"""Headlines: the results of a run or an analysis in sentences, each of which names its baseline."""
