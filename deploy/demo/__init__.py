"""`make demo`: one true story, told through the public interface as any other software would."""
