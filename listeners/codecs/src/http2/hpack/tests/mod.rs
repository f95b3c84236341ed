mod appendix_c;
