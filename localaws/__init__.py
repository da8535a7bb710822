"""The embedded AWS: a SageMaker that executes, behind one URL."""
