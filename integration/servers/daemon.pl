#!/usr/bin/perl
# Perl's HTTP::Daemon: a process for each connection answers every request with 200 and writes a line for it into the log.
# Usage: daemon.pl ADDRESS PORT LOG
use strict;
use warnings;
use HTTP::Daemon;
use HTTP::Response;
use IO::Handle;

my ($address, $port, $file) = @ARGV;
open(my $log, '>>', $file) or die "$file: $!";
$log->autoflush(1);
$SIG{CHLD} = 'IGNORE';
my $daemon = HTTP::Daemon->new(LocalAddr => $address, LocalPort => $port, ReuseAddr => 1, Listen => 128)
    or die "no listener: $!";
while (1) {
    my $client = $daemon->accept or next;
    my $child = fork();
    if (!defined $child || $child) {
        close $client;
        next;
    }
    close $daemon;
    $client->timeout(20);
    while (my $request = $client->get_request) {
        my $said = $request->method . ' ' . $request->uri->as_string;
        $said =~ s/[^ -~]/?/g;
        print $log "$said\n";
        $client->send_response(HTTP::Response->new(200, 'OK', ['Content-Type' => 'text/plain'], "ok $said\n"));
    }
    exit 0;
}
